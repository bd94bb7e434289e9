"""Recordings of every accepted format: ingest, its check, training sets."""
