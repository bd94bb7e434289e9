"""Geometry of pose fitting: pixels, surfaces, poses, a drawer along its slide."""
