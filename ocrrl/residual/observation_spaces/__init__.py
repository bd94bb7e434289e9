"""What enters actor and critics, and which learner goes with it (Table 2b): a file for each choice of `observation`."""
