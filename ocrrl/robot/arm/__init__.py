"""The FR3: drivers of arm and hand, commands, faults."""
