"""What the columns of a foreign recording mean: poses, gripper, actions, as its mapping declares them."""
