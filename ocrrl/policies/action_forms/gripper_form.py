"""The gripper's command in a declared range, and our opening in [0, 1]."""

import numpy as np
from jaxtyping import Float

from ocrrl.policies.action_forms.declaration import FormDeclaration

FAR = 1.0
"""By so many times the declared range a command may lie outside of it; beyond, it is in another unit."""


def opening(command: Float[np.ndarray, "..."], form: FormDeclaration) -> Float[np.ndarray, "..."]:
    """The opening in [0, 1] that `command` asks for; ValueError where it is in another unit than `form` declares."""
    share = (command - form.gripper_closed) / (form.gripper_open - form.gripper_closed)
    if share.size and not (share.min() >= -FAR and share.max() <= 1.0 + FAR):
        raise ValueError(
            f"gripper_command must be between gripper_closed {form.gripper_closed:g} and gripper_open {form.gripper_open:g}, "
            f"got {command.min():g} to {command.max():g}: declare the policy's own range"
        )
    return (share >= 0.5).astype(float) if form.gripper_binary else np.clip(share, 0.0, 1.0)


def command(opening: Float[np.ndarray, "..."], form: FormDeclaration) -> Float[np.ndarray, "..."]:
    """The command that asks for `opening` in [0, 1]."""
    share = (opening >= 0.5).astype(float) if form.gripper_binary else opening
    return form.gripper_closed + share * (form.gripper_open - form.gripper_closed)
