"""Which of a tracker's poses a policy is shown (Algorithm 2, line 9, and beyond). Legend: O tracked objects.

An object whose confidence is low is not shown, nor one whose pose is old or jumped; an object that the fingers hide while they
hold it is shown where the hand has it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rigid
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD, MAX_GRIPPER_WIDTH
from ocrrl.interface.protocols import PoseEstimate


@dataclass(frozen=True)
class PoseGateConfig:
    """When a pose is believed; times [s], lengths [m]."""

    max_age: float = 0.20
    """Since the frame was taken."""
    max_speed: float = 1.5
    """[m/s] between two estimates, above `jump_slack`."""
    jump_slack: float = 0.02
    believed_again: int = 3
    """Estimates in a row that must agree with each other before a pose that jumped is believed."""
    hold_grasped: float = 1.0
    """For how long an object that the hand hides is taken to move with it; 0 never."""
    grasp_reach: float = 0.06
    """Within which of the gripper frame an object's origin was last seen if the hand is to hold it."""
    narrowest_grasp: float = 0.005
    """Between the fingers; a hand that closed further holds nothing, one opened wider than `widest_grasp` neither."""
    widest_grasp: float = MAX_GRIPPER_WIDTH - 0.003

    def __post_init__(self) -> None:
        for name in ("max_age", "max_speed", "grasp_reach"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.believed_again < 1 or self.jump_slack < 0 or self.hold_grasped < 0:
            raise ValueError(f"believed_again must be at least 1, jump_slack and hold_grasped at least 0, got {self}")


class PoseGate:
    """The gate of one cell; call `reset` when an episode begins."""

    def __init__(self, config: PoseGateConfig | None = None) -> None:
        self._config = config or PoseGateConfig()
        self.reset()

    def reset(self) -> None:
        """Forget every object."""
        self.stale = False
        """Whether the latest poses asked about were too old to be believed."""
        self._last: PoseEstimate | None = None
        self._followed: list[_Followed] = []

    def filter(
        self, estimate: PoseEstimate, now: float, gripper_pose: Float[np.ndarray, " 7"], gripper_width: float
    ) -> tuple[Float[np.ndarray, "O 7"], Bool[np.ndarray, " O"]]:
        """Poses, and the objects that a policy is shown, at `now` [s], with the gripper as it was measured.

        `estimate` may be the same one again, where the tracker has no newer.
        """
        if not self._followed:
            self._followed = [_Followed() for _ in estimate.poses]
        poses, visible = estimate.poses.copy(), estimate.confidence >= CONFIDENCE_THRESHOLD
        if self._last is None or estimate.captured > self._last.captured:
            for followed, pose, trust in zip(self._followed, poses, estimate.confidence, strict=True):
                followed.see(pose, trust, estimate.captured, self._config)
            self._last = estimate
        self.stale = now - estimate.captured > self._config.max_age
        width = self._config
        closed_on_something = width.narrowest_grasp < gripper_width < width.widest_grasp
        for index, followed in enumerate(self._followed):
            visible[index] &= followed.believed and not self.stale
            if visible[index]:
                near = np.linalg.norm(poses[index, :3] - gripper_pose[:3]) <= self._config.grasp_reach
                followed.in_hand = (
                    rigid.compose(rigid.inverse(gripper_pose), poses[index]) if near and closed_on_something else None
                )
                followed.hidden_since = None
            elif followed.in_hand is not None and closed_on_something:
                followed.hidden_since = now if followed.hidden_since is None else followed.hidden_since
                if now - followed.hidden_since <= self._config.hold_grasped:
                    poses[index] = rigid.compose(gripper_pose, followed.in_hand)
                    visible[index] = True
            else:
                followed.in_hand = None
        return poses, visible


class _Followed:
    """What the gate remembers of one object."""

    def __init__(self) -> None:
        self.believed = False
        self.in_hand: np.ndarray | None = None
        """Its pose in the gripper frame when it was last seen held."""
        self.hidden_since: float | None = None
        self._position: np.ndarray | None = None  # last believed
        self._time = 0.0
        self._candidate: np.ndarray | None = None  # where it may have jumped to
        self._candidate_time = 0.0
        self._agreed = 0

    def see(self, pose: np.ndarray, confidence: float, captured: float, config: PoseGateConfig) -> None:
        """Decide whether the pose of a new estimate is believed."""
        if confidence < CONFIDENCE_THRESHOLD:
            self.believed, self._agreed = False, 0
            return
        position = pose[:3]
        if self._position is None or _reachable(self._position, position, captured - self._time, config):
            self.believed = True
        else:
            agrees = self._candidate is not None and _reachable(
                self._candidate, position, captured - self._candidate_time, config
            )
            self._agreed = self._agreed + 1 if agrees else 1
            self._candidate, self._candidate_time = position.copy(), captured
            self.believed = self._agreed >= config.believed_again
        if self.believed:
            self._position, self._time, self._agreed = position.copy(), captured, 0


def _reachable(before: np.ndarray, after: np.ndarray, seconds: float, config: PoseGateConfig) -> bool:
    return bool(np.linalg.norm(after - before) <= config.jump_slack + config.max_speed * max(seconds, 0.0))
