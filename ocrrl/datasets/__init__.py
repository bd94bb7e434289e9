"""Episodes, ingestion, replay and training sets."""
