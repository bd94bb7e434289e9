"""The wire twin: the real drivers against a simulated arm and simulated cameras, over loopback. No robot moves."""
