"""LeRobotDatasets that others made, v3 and v2.1: listed, checked as a whole, and read episode by episode."""
