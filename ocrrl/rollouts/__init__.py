"""The control loop, evaluation and its statistics."""
