"""What stands between a command and the arm: limits, the gate, the watchdog, the log of faults."""
