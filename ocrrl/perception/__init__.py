"""Where object poses come from outside the simulator."""
