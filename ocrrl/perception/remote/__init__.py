"""A pose estimator in a process of its own, on this machine or on one with a GPU: FoundationPose behind our tracker's contract."""
