"""Camera calibration: finding a camera's pose, its accuracy, and whether it is still valid."""
