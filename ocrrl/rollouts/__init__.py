"""The one control loop, evaluation and its statistics."""
