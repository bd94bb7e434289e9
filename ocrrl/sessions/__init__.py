"""Sessions that an operator starts at a cell: rollouts, evaluations and demonstrations. They are not stages."""
