"""What the files of tabletop tasks are made of. Nothing here loads MuJoCo before a scene is built."""
