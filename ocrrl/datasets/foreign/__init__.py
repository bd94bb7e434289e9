"""Recordings of other software and formats, converted to episodes."""
