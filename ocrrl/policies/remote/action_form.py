"""Stand-in until action_forms is there: our own 7 numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ocrrl.interface.observations import RobotState


class ActionForm:
    keys: Mapping[str, int] = {"actions": 7}

    def to_steps(self, actions: Mapping[str, np.ndarray], robot: RobotState) -> np.ndarray:
        return actions["actions"]

    def from_steps(self, chunk: np.ndarray, robot: RobotState) -> dict[str, np.ndarray]:
        return {"actions": chunk}


def action_form(declared: Mapping[str, Any], where: str) -> ActionForm:
    if declared:
        raise ValueError(f"{where} must be empty")
    return ActionForm()
