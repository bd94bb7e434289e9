"""Recordings of any accepted format, and what becomes of them: ingest, the check before it, training sets."""
