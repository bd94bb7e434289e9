"""Cameras, object tracking and calibration."""
