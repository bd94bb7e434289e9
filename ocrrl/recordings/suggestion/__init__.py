"""Suggests a mapping for recordings without one."""
