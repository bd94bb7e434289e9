"""The twin cell: a second simulator with other looks, dynamics and tracking errors."""
