"""Curves, tables and videos of a run for TensorBoard, trackio or Weights & Biases; nothing is loaded unless one is chosen."""
