"""The FR3: its driver, its hand, and why it was held or stopped."""
