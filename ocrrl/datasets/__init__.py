"""What models train on: LeRobotDatasets of our own, and recorded transitions."""
