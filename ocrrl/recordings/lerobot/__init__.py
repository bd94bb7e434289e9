"""Foreign LeRobotDatasets."""
