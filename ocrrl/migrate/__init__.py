"""Migration of a project folder of an older version."""
