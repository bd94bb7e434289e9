"""Recordings that other software made, of other formats, on their way to episodes."""
