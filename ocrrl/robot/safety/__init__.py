"""Safety of the arm: limits, the gate, the watchdog, the log of faults."""
