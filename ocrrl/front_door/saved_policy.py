"""A saved VLA as a policy for any number of environments."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import VLA, Capture, Environment
from ocrrl.policies.checkpoint import CompactVLA, load_vla
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.tabletop.registry import tabletop_task


class SavedPolicy:
    """`interface.protocols.Policy` by the VLA in the folder `path`, for as many environments as it is asked to act in."""

    def __init__(self, path: Path, vla: VLA, instruction: str | None) -> None:
        """`instruction` is None where the environment's tabletop task is to decide."""
        self.path, self.vla, self.instruction = path, vla, instruction
        self._policy: ChunkedPolicy | None = None
        self._num_envs = 0

    def acting_in(self, env: Environment) -> ChunkedPolicy:
        """A policy of its own for `env`, with the instruction of its tabletop task unless another was asked for."""
        return ChunkedPolicy(self.vla, self.instruction or env.tabletop_task.instruction, env.num_envs)

    def reset(self, ids: Int[np.ndarray, " n"]) -> None:
        """Begin new episodes in the environments `ids`."""
        self._for(ids).reset(ids)

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "n 7"]:
        """The actions for the environments `ids`; ValueError where the instruction is not known."""
        return self._for(ids).act(observation, ids, capture)

    def _for(self, ids: np.ndarray) -> ChunkedPolicy:
        """The policy with room for the environments `ids`, those that it acts in already as they are."""
        if self._policy is not None and (not len(ids) or ids.max() < self._num_envs):
            return self._policy
        instruction = self.instruction or _only_instruction(self.vla)
        if instruction is None:
            raise ValueError(
                f"the policy of {self.path} must know its tabletop task to act by itself: load_policy(path, task='cube_lift')"
            )
        before, former = self._num_envs, self._policy
        self._num_envs = int(ids.max()) + 1 if len(ids) else 1
        self._policy = ChunkedPolicy(self.vla, instruction, self._num_envs)
        if former is not None:
            state = self._policy.get_state()
            for name, value in former.get_state().items():
                state[name][:before] = value
            self._policy.set_state(state)
        return self._policy


def load_policy(path: str | Path, task: str | None = None, device: str = "auto") -> SavedPolicy:
    """The VLA in the LeRobot `pretrained_model/` folder `path`, as a policy on `device` (auto, cpu, cuda).

    `train_residual` and `evaluate` give it the instruction of their environment's tabletop task. To act by itself it takes the
    instruction of `task`, or the only one that the VLA was trained with. The folder's own code is never run.
    Raises FileNotFoundError where there is no VLA, ValueError for one that is damaged or an unknown `task`.
    """
    path = Path(path)
    return SavedPolicy(path, load_vla(path, device), None if task is None else tabletop_task(task).instruction)


def _only_instruction(vla: VLA) -> str | None:
    known = list(vla.encoder.known) if isinstance(vla, CompactVLA) else []
    return known[0] if len(known) == 1 else None
