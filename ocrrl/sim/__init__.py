"""MuJoCo scenes, controller, tabletop tasks and the vectorised environment."""
