"""Accepted episodes in the training simulator."""
