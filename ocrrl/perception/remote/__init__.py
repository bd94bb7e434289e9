"""A pose estimator in a process of its own, on this machine or one with a GPU, such as FoundationPose."""
