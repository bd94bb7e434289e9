"""The twin cell: a second simulator with the noise of a real cell."""
