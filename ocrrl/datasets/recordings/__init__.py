"""Finding, reading (in a child process) and summarising a folder of recordings."""
