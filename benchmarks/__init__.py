import ocrrl as ocrrl  # before mujoco, which reads once how it is to render
