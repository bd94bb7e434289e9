"""A VLA as a policy: asks for a chunk every few steps and acts from it in between (Sec. 3.1).

A slow VLA's chunk is used from d control steps after its observation on, at the index of that step; the motion that it meant until
then is caught up (`caught_up`). Legend: s control steps from one question to the next, H actions in a chunk, t the episode's step.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.actions import ACTION_DIM, limit
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH, Observation
from ocrrl.interface.protocols import VLA, Capture
from ocrrl.policies.chunk_delay import ChunkDelay

NO_DELAY = ChunkDelay()


class ChunkedPolicy:
    """`interface.protocols.Policy`: at step t an environment acts from the chunk that it asked for at s * floor((t - d) / s).

    Until its first chunk is there (t < d) it holds: no motion, the opening as it is. Environments keep their own step, d and
    chunks; those whose t mod s is 0 are asked for together, in one batch, and only they are photographed.
    """

    def __init__(
        self, vla: VLA, instruction: str, num_envs: int, replan_every: int | None = None, delay: ChunkDelay = NO_DELAY
    ):
        """`replan_every` is s, by default the VLA's own `n_action_steps`; ValueError where a chunk does not last (`require_lasts`)."""
        self.replan_every = vla.n_action_steps if replan_every is None else replan_every
        require_lasts(vla.chunk_size, self.replan_every, delay.largest)
        self.vla, self.instruction, self.delay = vla, instruction, delay
        # Two chunks an environment: the one asked for last, and the one before, which serves until that is there.
        self._chunks = np.zeros((num_envs, 2, vla.chunk_size, ACTION_DIM), np.float32)
        self._steps = np.zeros(num_envs, np.int64)
        self._late = np.zeros(num_envs, np.int64)
        self._openings = np.ones(num_envs, np.float32)  # of the latest actions
        self._given = np.zeros(
            (num_envs, delay.largest, ACTION_DIM), np.float32
        )  # the latest actions, the last one last

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """Begin new episodes in the environments `ids`: their next action comes from a new chunk, d by `seeds`."""
        self._steps[ids] = 0
        self._late[ids] = self.delay.of_episodes(seeds)

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "n 7"]:
        """The actions for environments `ids`, float32; `observation` holds those n, in that order."""
        steps, late = self._steps[ids], self._late[ids]
        due = steps % self.replan_every == 0
        if due.any():
            chunk = self.vla.predict_chunk(capture(ids[due]), observation.take(due), self.instruction)
            place = steps[due] // self.replan_every % 2
            self._chunks[ids[due], place] = chunk[:, : self._chunks.shape[2]]
        asked = self._asked(steps, late)
        if self.delay.largest:
            self._catch_up(ids, steps, late)
        action = self._chunks[ids, asked // self.replan_every % 2, steps - asked]
        waiting = steps < late
        if waiting.any():
            action[waiting] = held(observation)[waiting]
        if self.delay.largest:
            self._given[ids] = np.concatenate([self._given[ids, 1:], action[:, None]], axis=1)
        self._openings[ids] = action[:, 6]
        self._steps[ids] += 1
        return action

    @property
    def largest_delay(self) -> int:
        """As `interface.protocols.ActsInChunks`."""
        return self.delay.largest

    def chunk_phase(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
        """As `interface.protocols.ActsInChunks`."""
        steps, late = self._steps[ids] - 1, self._late[ids]
        place = np.where(steps < late, 0, steps - self._asked(steps, late) + 1)
        return np.stack([place, late], axis=-1) / self.vla.chunk_size

    def coming_actions(self, ids: Int[np.ndarray, " n"], count: int) -> Float[np.ndarray, "n count 7"]:
        """As `interface.protocols.ShowsComingActions`."""
        steps, late = self._steps[ids] - 1, self._late[ids]
        asked = self._asked(steps, late)
        chunks = self._chunks[ids, asked // self.replan_every % 2]
        first = np.where(steps < late, chunks.shape[1], steps - asked + 1)
        return coming(chunks, first, self._openings[ids], count)

    def _asked(self, steps: Int[np.ndarray, " n"], late: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The steps at which the chunks were asked for that are acted from at `steps`."""
        return np.maximum(steps - late, 0) // self.replan_every * self.replan_every

    def _catch_up(self, ids: Int[np.ndarray, " n"], steps: Int[np.ndarray, " n"], late: Int[np.ndarray, " n"]) -> None:
        """Of the environments whose new chunk is there at `steps`: what it meant while it was waited for."""
        begins = (late > 0) & (steps >= late) & ((steps - late) % self.replan_every == 0)
        for delay in np.unique(late[begins]):
            envs = ids[begins & (late == delay)]
            place = (self._steps[envs] - delay) // self.replan_every % 2
            given = self._given[envs, self.delay.largest - delay :]
            self._chunks[envs, place] = caught_up(self._chunks[envs, place], given, self.replan_every)

    def get_state(self) -> dict[str, np.ndarray]:
        """The chunks in progress, and where each environment is in its own."""
        state = {"chunks": self._chunks.copy(), "steps": self._steps.copy(), "late": self._late.copy()}
        return state | ({"given": self._given.copy()} if self.delay.largest else {})

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state that `get_state` gave."""
        self._chunks[:], self._steps[:], self._late[:] = state["chunks"], state["steps"], state["late"]
        if self.delay.largest:
            self._given[:] = state["given"]


def require_lasts(chunk_size: int, replan_every: int, delay: int) -> None:
    """ValueError unless chunks of H actions, asked for every s steps and `delay` late, leave no step without an action."""
    if not 1 <= replan_every <= chunk_size:
        raise ValueError(f"replan_every must be in [1, {chunk_size}], the VLA's chunk size, got {replan_every}")
    if delay > replan_every or replan_every + delay > chunk_size:
        most = min(replan_every, chunk_size - replan_every)
        raise ValueError(
            f"a chunk of {chunk_size} actions, asked for every {replan_every} steps, lasts for a delay of at most {most} control "
            f"steps, got {delay}: lower n_action_steps, train the VLA with longer chunks, or serve it faster"
        )


def caught_up(
    chunk: Float[np.ndarray, "n R 7"], given: Float[np.ndarray, "n k 7"], steps: int
) -> Float[np.ndarray, "n R 7"]:
    """`chunk`, used from its action k on, with the motion that its first k actions meant and that was not `given` in their place.

    Actions are steps, so what a late chunk skips would be lost: the first chunk's first k steps altogether, later the
    difference between two predictions. The `steps` actions from k on make up for it in equal parts, within the limits of a step;
    what exceeds them goes over to the next. Rotation vectors are added, as turns are small. What a residual added to `given` is
    none of it.
    """
    late, caught = given.shape[1], chunk.copy()
    part = (chunk[:, :late] - given).sum(axis=1) / steps
    rest = np.zeros((len(chunk), ACTION_DIM), np.float32)
    for row in range(late, chunk.shape[1]):
        wanted = chunk[:, row] + rest
        if row < late + steps:
            wanted += part
        wanted[:, 6] = chunk[:, row, 6]
        caught[:, row] = limit(wanted)
        rest = wanted - caught[:, row]
    return caught


def coming(
    chunks: Float[np.ndarray, "n H 7"], first: Int[np.ndarray, " n"], openings: Float[np.ndarray, " n"], count: int
) -> Float[np.ndarray, "n count 7"]:
    """`count` actions of each chunk from its action `first` on, then holding: no motion, the last one's opening.

    Where none is left from the first on (`first` is H), the opening is that of `openings`.
    """
    length = chunks.shape[1]
    places = first[:, None] + np.arange(count)
    actions = np.take_along_axis(chunks, np.minimum(places, length - 1)[..., None], axis=1)
    actions[places >= length, :6] = 0.0
    over = first >= length
    actions[over, :, 6] = openings[over, None]
    return actions


def held(observation: Observation) -> Float[np.ndarray, "n 7"]:
    """The actions that keep each arm where it is and its fingers as they are, float32."""
    action = np.zeros((len(observation.gripper_width), ACTION_DIM), np.float32)
    action[:, 6] = np.clip(observation.gripper_width / MAX_GRIPPER_WIDTH, 0.0, 1.0)
    return action
