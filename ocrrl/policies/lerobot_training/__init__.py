"""`finetune.trainer: lerobot`: LeRobot's `lerobot-train` in a process of its own, for policies of billions of weights."""
