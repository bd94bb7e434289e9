"""Bringing a project folder made by an older version of ocrrl over to this one."""
