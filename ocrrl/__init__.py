"""Object-centric residual reinforcement learning for vision-language-action policies."""
