"""The residual learner: pose augmentation, networks, replay buffer, TD3, Algorithm 1."""
