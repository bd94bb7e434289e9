"""From pictures to object poses: the tracker, and what says whether its poses hold."""
