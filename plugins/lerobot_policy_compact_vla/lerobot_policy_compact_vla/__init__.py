"""The default VLA of ocrrl as LeRobot's policy type `compact_vla`: LeRobot imports packages whose name begins so."""

import ocrrl.policies.compact_vla  # noqa: F401  registers with LeRobot
