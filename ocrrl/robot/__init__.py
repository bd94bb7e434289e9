"""Cells: arm, safety, operator, twin, wire twin, teleoperation."""
