"""The geometry that a tracker fits: pixels, surfaces, poses, a drawer along its slide."""
