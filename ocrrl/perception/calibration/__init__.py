"""Where cameras are, how well that is known, and whether it still holds."""
