"""What an operator starts at a cell, and no stage: rollouts, evaluations and demonstrations."""
