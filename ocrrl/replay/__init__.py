"""Replay of accepted episodes in the training simulator."""
