"""Cameras that are open: RealSense, and in software for the wire twin."""
