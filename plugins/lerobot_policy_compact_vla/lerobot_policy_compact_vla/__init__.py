"""The default VLA of ocrrl as LeRobot's policy type `compact_vla`: LeRobot imports it for its name."""

import ocrrl.policies.compact_vla  # noqa: F401  registers with LeRobot
