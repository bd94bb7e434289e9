"""What simulation and reality share: actions, poses, observations, tabletop tasks, protocols. Imports nothing of ours."""
