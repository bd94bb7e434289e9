"""LeRobotDatasets that others wrote."""
