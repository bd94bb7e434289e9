"""Recordings on their way in: what lies in a folder, read in a process that may die, and what to say of it."""
