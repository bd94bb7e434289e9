"""Converts the columns of a foreign recording by its mapping: poses, gripper, actions."""
