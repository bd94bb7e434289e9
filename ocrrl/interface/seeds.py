"""Seeds of initial states: disjoint ranges, so that nothing is chosen on the states that are reported.

An episode's initial state is drawn from `numpy.random.default_rng(seed)`.
"""

SEEDS_PER_RANGE = 1_000_000
RANGES = {
    "train": range(0, 1_000_000),
    "validation": range(1_000_000, 2_000_000),
    "test": range(2_000_000, 3_000_000),
    "record": range(3_000_000, 4_000_000),
    "rollout": range(4_000_000, 5_000_000),
    "tracking": range(5_000_000, 6_000_000),
}


def initial_state_seeds(purpose: str, count: int, first: int = 0) -> list[int]:
    """`count` seeds of the range for `purpose`, from its `first` one on.

    Raises ValueError for an unknown purpose or more seeds than the range holds.
    """
    if purpose not in RANGES:
        raise ValueError(f"seed purpose must be one of {', '.join(RANGES)}, got {purpose!r}")
    chosen = RANGES[purpose][first : first + count]
    if len(chosen) != count:
        raise ValueError(f"the {purpose} range holds {SEEDS_PER_RANGE} seeds, got a request for {first} + {count}")
    return list(chosen)
