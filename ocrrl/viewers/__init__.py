"""Episodes and whole sessions for viewers: Rerun, and MCAP files for Foxglove."""
