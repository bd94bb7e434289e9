"""The wire twin: the real drivers with a simulated arm and simulated cameras over loopback. No robot moves."""
