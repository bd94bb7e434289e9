"""Devices that a person teleoperates with, and what they say about the episode."""
