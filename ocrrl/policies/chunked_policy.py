"""A VLA as a policy: queries a chunk every few steps and replays it in between (Sec. 3.1)."""

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import VLA, Capture


class ChunkedPolicy:
    """`interface.protocols.Policy`: at step t of an episode an environment gets action t mod n of its latest chunk.

    Environments keep their own step and chunk; those whose t mod n is 0 are asked for together, in one batch, and only
    they are photographed.
    """

    def __init__(self, vla: VLA, instruction: str, num_envs: int, replan_every: int | None = None):
        """`replan_every` is by default the VLA's own `n_action_steps`; ValueError unless in [1, `vla.chunk_size`]."""
        self.replan_every = vla.n_action_steps if replan_every is None else replan_every
        if not 1 <= self.replan_every <= vla.chunk_size:
            raise ValueError(f"replan_every must be in [1, {vla.chunk_size}], the VLA's chunk size, got {replan_every}")
        self.vla = vla
        self.instruction = instruction
        self._chunks = np.zeros((num_envs, self.replan_every, ACTION_DIM), np.float32)
        self._steps = np.zeros(num_envs, np.int64)

    def reset(self, ids: Int[np.ndarray, " n"]) -> None:
        """Begin new episodes in the environments `ids`: their next action comes from a new chunk."""
        self._steps[ids] = 0

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "n 7"]:
        """The actions for environments `ids`, float32; `observation` holds those n, in that order."""
        index = self._steps[ids] % self.replan_every
        due = index == 0
        if due.any():
            chunk = self.vla.predict_chunk(capture(ids[due]), observation.proprioception()[due], self.instruction)
            self._chunks[ids[due]] = chunk[:, : self.replan_every]
        self._steps[ids] += 1
        return self._chunks[ids, index]

    def get_state(self) -> dict[str, np.ndarray]:
        """The chunks in progress and where each environment is in its own."""
        return {"chunks": self._chunks.copy(), "steps": self._steps.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state that `get_state` gave."""
        self._chunks[:], self._steps[:] = state["chunks"], state["steps"]
