"""RealSense cameras, and software cameras for the wire twin."""
