"""Teleoperation devices, and how they label episodes."""
