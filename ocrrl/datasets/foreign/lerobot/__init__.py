"""Foreign LeRobotDatasets, v3 and v2.1: listed, checked as a whole, read episode by episode."""
