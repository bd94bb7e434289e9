"""Residuals of images: frames, encoder, TD3 through the encoder, distillation of a teacher, the published policy."""
