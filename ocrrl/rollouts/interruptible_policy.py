"""A policy in whose place a person may act: they take over by holding on and give back by letting go (HG-DAgger, arXiv 1810.02890).

Actions are steps of the commanded pose, whoever asks for them, so that it does not jump when one takes over from the other.
Legend: N environments, n of them selected by ids (n,).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.actions import ACTION_DIM, limit
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import ActsInChunks, Capture, Intervener, Policy, chunk_phase, require_coming_actions

OPEN = 1.0  # of the fingers, as an episode begins


class InterruptiblePolicy:
    """`interface.protocols.Interruptible`; `base` is not asked while the intervener acts.

    When they give back, it begins anew: what it had asked for before is dropped, and its next action comes from a new chunk.
    Until a late chunk is there the arm holds, the fingers as they were commanded last.
    """

    def __init__(self, base: Policy, intervener: Intervener, num_envs: int) -> None:
        self._base, self._intervener = base, intervener
        self._acting = np.zeros(num_envs, bool)  # the intervener, at the latest step
        self._waiting = np.zeros(num_envs, bool)  # for the first chunk since the intervener gave back
        self._seeds = np.zeros(num_envs, np.int64)
        self._openings = np.full(num_envs, OPEN)

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """Begin new episodes in the environments `ids`, in which `base` acts first."""
        self._acting[ids] = self._waiting[ids] = False
        self._seeds[ids], self._openings[ids] = seeds, OPEN
        self._intervener.reset(ids, seeds)
        self._base.reset(ids, seeds)

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "n 7"]:
        """The actions for environments `ids`, the intervener's within the step limits. Raises what either of the two raises."""
        acting, wanted = self._intervener.act(observation, ids, capture, self._openings[ids])
        given_back = ids[self._acting[ids] & ~acting]
        if len(given_back):
            self._base.reset(given_back, self._seeds[given_back].tolist())
            self._waiting[given_back] = isinstance(self._base, ActsInChunks)
        self._acting[ids] = acting
        action = np.zeros((len(ids), ACTION_DIM), np.float32)
        action[acting] = limit(wanted[acting])
        if not acting.all():
            action[~acting] = self._base_actions(observation.take(~acting), ids[~acting], capture)
        return action

    def interrupted(self, ids: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """As `interface.protocols.Interruptible`."""
        return self._acting[ids]

    def applied(self, ids: Int[np.ndarray, " n"], actions: Float[np.ndarray, "n 7"]) -> None:
        """As `interface.protocols.Interruptible`."""
        self._openings[ids] = actions[:, 6]

    @property
    def largest_delay(self) -> int:
        """As `interface.protocols.ActsInChunks`, where `base` is one."""
        return self._base.largest_delay  # pyright: ignore[reportAttributeAccessIssue]

    def chunk_phase(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
        """As `interface.protocols.ActsInChunks`; ValueError where `base` is none. Where the intervener acts it says nothing."""
        return chunk_phase(self._base, ids)

    def coming_actions(self, ids: Int[np.ndarray, " n"], count: int) -> Float[np.ndarray, "n count 7"]:
        """As `interface.protocols.ShowsComingActions`; ValueError where `base` is none."""
        return require_coming_actions(self._base).coming_actions(ids, count)

    def _base_actions(
        self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture
    ) -> Float[np.ndarray, "n 7"]:
        action = self._base.act(observation, ids, capture)
        waiting = self._waiting[ids]
        if waiting.any():
            waiting &= chunk_phase(self._base, ids)[:, 0] == 0  # an arm that waits for a chunk holds what it holds
            action[waiting, 6] = self._openings[ids[waiting]]
            self._waiting[ids] = waiting
        return action
