"""Writes datasets for the trainers of others: LeRobot v2.1, with what Isaac-GR00T and openpi read beside it."""
