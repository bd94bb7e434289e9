"""Protocols of policies, VLAs, pose trackers and environments; what a control step led to, and what ended an episode.

Legend: N environments, n of them selected by ids (n,), O tracked objects, H actions in a chunk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.frames import Frame
from ocrrl.interface.observations import Images, Observation, RobotState, action_features
from ocrrl.interface.tabletop_tasks import TabletopTask

Capture = Callable[[Int[np.ndarray, " n"]], Images]
"""Takes images of the environments `ids` now; called only when a policy needs them."""


AbortedBy = Literal["operator", "arm", "fault"]
"""`operator`: who stopped it, or said that it failed. `arm`: stopped by what it was made to do, as in a reflex, or because its
commands ran out or were refused. `fault`: a camera, the tracker, the hand, the arm's connection, its clock or
the operator's terminal failed, which says nothing of the policy."""


@dataclass(frozen=True)
class Abort:
    """What ended an episode."""

    by: AbortedBy
    why: str


class PolicyFault(RuntimeError):
    """A policy cannot answer for a technical reason, such as a server that is gone: an arm's episode ends as a `fault`."""


@dataclass(frozen=True)
class StepResult:
    """What one control step led to, for the n environments that were stepped."""

    reward: Float[np.ndarray, " n"]
    """Dense staged reward in [0, 1]."""
    success: Bool[np.ndarray, " n"]
    """The tabletop task is solved and has stayed so for the task's `success_hold` steps."""
    aborted: Abort | None = None
    """What ended the episode before its time, in a cell where that happens (N = 1)."""
    applied_action: Float[np.ndarray, "n 7"] | None = None
    """What was applied, in a cell that may apply less than it is given; None where actions are applied as they are given."""

    def applied(self, actions: Float[np.ndarray, "n 7"]) -> Float[np.ndarray, "n 7"]:
        """What was applied of the `actions` that the step was given."""
        return actions if self.applied_action is None else self.applied_action


@dataclass(frozen=True)
class RobotPosture:
    """Where the arm was when a frame was taken, to know which pixels are the robot's and what it holds."""

    joint_positions: Float[np.ndarray, " 7"]
    """[rad]"""
    gripper_width: float
    """Distance between the fingers [m]."""


@dataclass(frozen=True)
class PoseEstimate:
    """The tracked objects of a tabletop task, as they were at `captured`."""

    captured: float
    """The frame's time [s]."""
    poses: Float[np.ndarray, "O 7"]
    """Canonical: position [m], wxyz, robot base frame; the last known one of an object that is lost."""
    confidence: Float[np.ndarray, " O"]
    """Probability that the pose is within 10 mm and 10 deg, in [0, 1]; 0 for an object that is lost."""


class VLA(Protocol):
    """A vision-language-action model: images, the robot's state and an instruction in, a chunk of actions out."""

    chunk_size: int
    """H, the actions in a chunk."""
    n_action_steps: int
    """How many of them are carried out before the next chunk is asked for, in [1, H]."""

    def predict_chunk(self, images: Images, robot: RobotState, instruction: str) -> Float[np.ndarray, "n H 7"]:
        """The next H actions for each of n robots; images hold n images a camera."""
        ...


class Policy(Protocol):
    """Acts in N environments, one action a control step; may keep state per environment (an action chunk)."""

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """Begin new episodes in the environments `ids`, from the initial states that `seeds` stand for."""
        ...

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "n 7"]:
        """The actions for environments `ids`; `observation` holds those n, in that order."""
        ...


@runtime_checkable
class ActsInChunks(Policy, Protocol):
    """A policy whose actions come from chunks that it asked for some steps ago."""

    @property
    def largest_delay(self) -> int:
        """The most control steps from an observation to the first action of the chunk that answers it."""
        ...

    def chunk_phase(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
        """Of the actions that `act` gave last, in [0, 1]: place in its chunk (1 the last, 0 while there is no chunk), and delay.

        Both are counted in actions of a chunk: (index + 1)/H and d/H.
        """
        ...


@runtime_checkable
class ShowsComingActions(ActsInChunks, Protocol):
    """A policy that shows the actions of its chunk that have not been carried out yet."""

    def coming_actions(self, ids: Int[np.ndarray, " n"], count: int) -> Float[np.ndarray, "n count 7"]:
        """The `count` actions that follow the ones that `act` gave last, as the chunks of now have them.

        A later chunk may put others in their place. Beyond a chunk's end, and while there is none, the arm holds: no motion, the
        opening of the action before.
        """
        ...


def chunk_features(
    policy: Policy, ids: Int[np.ndarray, " n"], phase: bool, coming: int
) -> Float[np.ndarray, "n C"] | None:
    """What a residual may be given of its base's chunks: their phase, then the features of so many coming actions; None for neither.

    ValueError for a policy that does not tell it.
    """
    parts = [chunk_phase(policy, ids)] if phase else []
    if coming:
        actions = require_coming_actions(policy).coming_actions(ids, coming)
        parts.append(action_features(actions).reshape(len(ids), -1))
    return np.concatenate(parts, axis=-1) if parts else None


def require_coming_actions(policy: Policy) -> ShowsComingActions:
    """`policy`; ValueError for one that acts without chunks."""
    if not isinstance(policy, ShowsComingActions):
        raise ValueError(
            f"train_residual.coming_actions must be 0 for a base without chunks, got {type(policy).__name__}"
        )
    return policy


def chunk_phase(policy: Policy, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """`ActsInChunks.chunk_phase` of `policy`; ValueError for one that acts without chunks."""
    if not isinstance(policy, ActsInChunks):
        raise ValueError(
            f"train_residual.chunk_phase must be false for a base without chunks, got {type(policy).__name__}"
        )
    return policy.chunk_phase(ids)


class Intervener(Protocol):
    """A person, or a script in one's place, who may act instead of the policies; asked every control step, never waits."""

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """New episodes begin in the environments `ids`, from the initial states that `seeds` stand for."""
        ...

    def act(
        self,
        observation: Observation,
        ids: Int[np.ndarray, " n"],
        capture: Capture,
        openings: Float[np.ndarray, " n"],
    ) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, "n 7"]]:
        """Whether they act in each of the environments `ids`, and with which actions; other rows mean nothing.

        `openings` are those of the actions applied last, which fingers stay at until told otherwise. Raises PolicyFault where
        they cannot be heard any more.
        """
        ...


@runtime_checkable
class Interruptible(Policy, Protocol):
    """A policy in whose place an `Intervener` may act."""

    def interrupted(self, ids: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """In which of the environments `ids` the action that `act` gave last was the intervener's: no residual is added to it."""
        ...

    def applied(self, ids: Int[np.ndarray, " n"], actions: Float[np.ndarray, "n 7"]) -> None:
        """What was applied in the environments `ids` in this step, whoever asked for it."""
        ...


class Residual(Protocol):
    """Corrects a base policy from what simulation and reality share; `actions.compose` puts the two together."""

    every: int
    """Control steps for which a residual is kept: asked for at steps 0, `every`, 2 `every`, ... of an episode."""
    chunk_phase: bool
    """Whether its observation goes on with the base's `ActsInChunks.chunk_phase`."""
    coming_actions: int
    """How many `ShowsComingActions.coming_actions` of the base its observation ends with."""

    def residual(self, residual_observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """Changes of the base action, in the units of an action, for observations s_t (Eq. 2)."""
        ...


class Handover(Protocol):
    """Says, control step by control step, where base + residual acts of an episode that the base begins alone."""

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """New episodes begin in the environments `ids`, from the initial states that `seeds` stand for."""
        ...

    def handed_over(self, observation: Observation, ids: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether base + residual acts in the environments `ids` in this step, asked once a step; elsewhere the base acts alone."""
        ...


class PoseTracker(Protocol):
    """Estimates the poses of one tabletop task's objects, with a confidence; called from one thread, a frame after the other."""

    def reset(self) -> None:
        """Forget the objects: the next frame registers them anew."""
        ...

    def track(self, frame: Frame, robot: RobotPosture) -> PoseEstimate:
        """The objects in `frame`."""
        ...

    def close(self) -> None:
        """Let go of what it works with; nothing is tracked after it."""
        ...


class Environment(Protocol):
    """N copies of a tabletop task: a simulator, a twin cell, or the robot (N = 1)."""

    tabletop_task: TabletopTask
    num_envs: int
    cell: str
    """`sim`, `twin`, or the name of the hardware's cell."""

    def reset(self, ids: Int[np.ndarray, " n"], seeds: list[int]) -> None:
        """Put the environments `ids` into the initial states that `seeds` stand for."""
        ...

    def observe(self) -> Observation:
        """The current observation of all N environments."""
        ...

    def capture(self, ids: Int[np.ndarray, " n"]) -> Images:
        """Images of the environments `ids` from every camera."""
        ...

    def step(self, actions: Float[np.ndarray, "n 7"], ids: Int[np.ndarray, " n"]) -> StepResult:
        """Apply one action in each of the environments `ids` for 1/CONTROL_HZ s."""
        ...

    def come_to_rest(self, error: str = "") -> None:
        """Stay as it is until the next step or reset, however long; `error` is what ended the control loop, if one did."""
        ...


@runtime_checkable
class PlaceableEnvironment(Environment, Protocol):
    """An environment that can be put into a recorded state."""

    def reset_to(
        self,
        ids: Int[np.ndarray, " n"],
        joint_positions: Float[np.ndarray, "n 7"],
        gripper_width: Float[np.ndarray, " n"],
        object_poses: Float[np.ndarray, "n O 7"],
    ) -> None:
        """Put the environments `ids` at rest with these joints [rad], opening [m] and object poses."""
        ...
