"""Vision-language-action policies: the default one, adapters to LeRobot, action chunks, fine-tuning."""
