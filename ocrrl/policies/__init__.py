"""Vision-language-action policies: the default VLA, LeRobot adapters, action chunks, fine-tuning."""
