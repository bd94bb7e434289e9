"""What the rules say of courses that are made up: one for each failure, in one cell or another."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface.handled_object import Graspable, Pushable
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH
from ocrrl.rollouts.approach_correction import approach_correction
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.emergent_behaviours import EmergentBehaviour, behaviours
from ocrrl.rollouts.failure_modes import FailureMode, first_failure, first_run
from ocrrl.rollouts.state_trace import StateRecorder, StateTrace
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment

BOX = Graspable((1.0, 0.0, 0.0), 0.02)
DRAWER = Pushable((0.0, -1.0, 0.0), 0.08, 0.015)
PLACE = np.array([0.5, 0.0, 0.02])  # of the object [m]
ABOVE = np.array([0.0, 0.0, 0.1])  # [m]
WIDE, ROUND_IT, SHUT = MAX_GRIPPER_WIDTH, 0.04, 0.0  # [m] between the fingers


class Course:
    """Builds the trace of a hand and a box, a stretch of steps at a time; places are relative to where the box lay."""

    def __init__(self, yaw_deg: float = 0.0) -> None:
        self._rows: list[dict[str, np.ndarray]] = []
        self._yaw = yaw_deg

    def add(self, steps, hand, box=(0.0, 0.0, 0.0), width=WIDE, lag=(0.0, 0.0, 0.0), yaw_deg=None):
        """Hand and box move evenly to `hand` and `box`; the fingers are commanded to close where `width` is not wide."""
        self._yaw = self._yaw if yaw_deg is None else yaw_deg
        start = self._rows[-1]["gripper_pose"][:3] if self._rows else PLACE + hand
        from_box = self._rows[-1]["object_poses"][0, :3] if self._rows else PLACE + box
        half = np.deg2rad(self._yaw) / 2
        for share in np.linspace(1 / steps, 1.0, steps):
            at = start + share * (PLACE + hand - start)
            lies = from_box + share * (PLACE + box - from_box)
            self._rows.append(
                {
                    "gripper_pose": np.concatenate([at, GRIPPER_DOWN]),
                    "commanded_pose": np.concatenate([at + lag, GRIPPER_DOWN]),
                    "gripper_width": np.array(width),
                    "object_poses": np.concatenate([lies, [np.cos(half), 0, 0, np.sin(half)]])[None],
                    "action": np.array([0.0] * 6 + [float(width == WIDE)]),
                    "residual": np.zeros(7),
                }
            )
        return self

    def trace(self) -> StateTrace:
        columns = {name: np.stack([row[name] for row in self._rows]) for name in self._rows[0]}
        return StateTrace(**{name: column.astype(np.float32) for name, column in columns.items()})


def at(x=0.0, y=0.0, z=0.0):
    return np.array([x, y, z])


def approached(hand=None):
    """The open hand has come from above to `hand`, the box's place by default."""
    return Course().add(5, ABOVE).add(15, at() if hand is None else hand)


def held():
    """The hand has the box 5 cm above the table."""
    return approached().add(4, at(), width=ROUND_IT).add(10, at(z=0.05), box=(0.0, 0.0, 0.05), width=ROUND_IT)


FAILED_GRASPS = {
    "closes 4 cm above": (approached(at(z=0.04)).add(10, at(z=0.04), width=SHUT), FailureMode.HOVERS),
    "stays above with open fingers": (approached(at(z=0.03)).add(30, at(z=0.03)), FailureMode.HOVERS),
    "closes above, then stands on it": (
        approached(at(z=0.03)).add(3, at(z=0.03), width=0.02).add(20, at(z=0.02), box=(0, 0, -0.006), width=0.02),
        FailureMode.HOVERS,
    ),
    "closes 6 cm beside": (approached(at(y=0.06)).add(10, at(y=0.06), width=SHUT), FailureMode.STOPS_SHORT),
    "closes beside its end": (approached(at(x=0.07)).add(10, at(x=0.07), width=SHUT), FailureMode.STOPS_SHORT),
    "stays beside on the table": (
        approached(at(y=0.06, z=-0.012)).add(50, at(y=0.06, z=-0.012), lag=(0, 0, -0.05)),
        FailureMode.STOPS_SHORT,
    ),
    "stands on it with an open finger": (
        approached(at(z=0.02)).add(12, at(z=0.02), box=(0, 0, -0.006)).add(10, at(z=0.02), width=SHUT),
        FailureMode.COLLIDES,
    ),
    "stalls on it": (
        approached(at(z=0.02)).add(50, at(z=0.02), box=(0.005, 0, 0), lag=(0, 0, -0.03)),
        FailureMode.COLLIDES,
    ),
    "pushes it away": (
        approached(at(y=0.02)).add(10, at(y=-0.06), box=(0, -0.07, 0)).add(10, at(y=-0.06), width=SHUT),
        FailureMode.COLLIDES,
    ),
    "drops it": (held().add(10, at(z=0.05), width=SHUT), FailureMode.LOSES),
    "lets go": (
        held().add(3, at(z=0.05), box=(0, 0, 0.05)).add(3, at(z=0.05)).add(10, at(z=0.1)),
        FailureMode.MISPLACES,
    ),
    "puts it down and lets go": (
        held().add(10, at(y=0.1), box=(0, 0.1, 0), width=ROUND_IT).add(10, at(y=0.1, z=0.1), box=(0, 0.1, 0)),
        FailureMode.MISPLACES,
    ),
    "puts it down and holds on": (held().add(20, at(), width=ROUND_IT), FailureMode.UNFINISHED),
    "carries it to the end": (
        held().add(20, at(y=0.1, z=0.05), box=(0, 0.1, 0.05), width=ROUND_IT),
        FailureMode.UNFINISHED,
    ),
    "grips it and does not lift": (approached().add(30, at(), width=ROUND_IT), FailureMode.UNFINISHED),
    "misses, then gets and drops it: the miss came first": (
        approached(at(z=0.04))
        .add(10, at(z=0.04), width=SHUT)
        .add(10, at())
        .add(4, at(), width=ROUND_IT)
        .add(10, at(z=0.05), box=(0, 0, 0.05), width=ROUND_IT)
        .add(10, at(z=0.05), width=SHUT),
        FailureMode.HOVERS,
    ),
}


@pytest.mark.parametrize(("course", "mode"), FAILED_GRASPS.values(), ids=FAILED_GRASPS)
def test_a_failed_grasp_is_what_came_first(course, mode):
    assert first_failure(course.trace(), BOX) == mode


def test_a_box_is_graspable_along_its_line_and_a_cube_at_its_middle_only():
    trace = approached(at(x=0.035, z=0.02)).add(10, at(x=0.035, z=0.02), width=SHUT).trace()
    assert first_failure(trace, BOX) == FailureMode.HOVERS
    assert first_failure(trace, Graspable((1.0, 0.0, 0.0), 0.0)) == FailureMode.STOPS_SHORT


def test_failures_do_not_depend_on_where_the_object_lies():
    for course, mode in FAILED_GRASPS.values():
        trace = course.trace()
        moved = [np.array(poses) for poses in (trace.gripper_pose, trace.commanded_pose, trace.object_poses)]
        for poses in moved:
            poses[..., :2] += (-0.08, 0.13)
        elsewhere = replace(trace, gripper_pose=moved[0], commanded_pose=moved[1], object_poses=moved[2])
        assert first_failure(elsewhere, BOX) == mode


def push(hand_path, opening):
    """A hand (T, 3), relative to the closed drawer's face, and how far the drawer is out (T,)."""
    steps = len(opening)
    upright = np.tile([1.0, 0, 0, 0], (steps, 1))
    cabinet = np.concatenate([np.tile([0.5, 0.4, 0.0], (steps, 1)), upright], axis=-1)
    face = np.column_stack([np.full(steps, 0.5), 0.225 - opening, np.full(steps, 0.1)])
    hand = np.concatenate([face[0] * (1, 0, 1) + (0, 0.225, 0) + hand_path, np.tile(GRIPPER_DOWN, (steps, 1))], axis=-1)
    drawer = np.concatenate([face, upright], axis=-1)
    columns = (
        hand,
        hand,
        np.zeros(steps),
        np.stack([drawer, cabinet], axis=1),
        np.zeros((steps, 7)),
        np.zeros((steps, 7)),
    )
    return StateTrace(*(column.astype(np.float32) for column in columns))


def pushed(up=0.0, until=0.02, then=()):
    """From 20 cm out, the hand pushes a drawer that is 10 cm out until `until`, `up` from its middle; then more hand places."""
    way = np.linspace(-0.20, -until - 0.013, 40)
    opening = np.minimum(0.10, -way - 0.013)
    hand = np.column_stack([np.zeros(40), way, np.full(40, up)])
    return push(np.vstack([hand, *then]), np.append(opening, [opening[-1]] * len(then)))


FAILED_PUSHES = {
    "never arrives": (push(np.tile([0.0, -0.2, 0.0], (40, 1)), np.full(40, 0.1)), FailureMode.STOPS_SHORT),
    "passes over it": (
        push(np.column_stack([np.zeros(40), np.linspace(-0.2, 0.0, 40), np.full(40, 0.05)]), np.full(40, 0.1)),
        FailureMode.HOVERS,
    ),
    "pushes its edge": (pushed(up=0.035), FailureMode.WRONG_ANGLE),
    "pushes its middle and not far enough": (pushed(), FailureMode.UNFINISHED),
    "goes back from it": (pushed(then=[[0.0, -0.15, 0.0]] * 10), FailureMode.LOSES),
}


@pytest.mark.parametrize(("trace", "mode"), FAILED_PUSHES.values(), ids=FAILED_PUSHES)
def test_a_failed_push_is_what_came_first(trace, mode):
    assert first_failure(trace, DRAWER) == mode


def test_a_push_is_sustained_unless_the_drawer_stands_still_on_the_way():
    closed = pushed(until=0.0)
    assert behaviours(closed, DRAWER) == {EmergentBehaviour.SUSTAINED_PUSH}
    paused = np.r_[0:30, [30] * 8, 30:40]
    halting = StateTrace(*(getattr(closed, name)[paused] for name in StateTrace.__dataclass_fields__))
    assert behaviours(halting, DRAWER) == set()


def lifted(course, **start):
    """The course of a success that goes on from `course`: the fingers close and lift the box."""
    return course.add(4, at(), width=ROUND_IT, **start).add(10, at(z=0.05), box=(0, 0, 0.05), width=ROUND_IT).trace()


def test_a_plain_success_shows_none_of_the_residuals_behaviours():
    assert behaviours(lifted(approached()), BOX) == set()


def test_an_object_turned_before_the_fingers_close_was_pre_rotated():
    assert behaviours(lifted(approached().add(5, at(), yaw_deg=15.0)), BOX) == {EmergentBehaviour.PRE_ROTATION}
    assert behaviours(lifted(approached().add(5, at(), yaw_deg=5.0)), BOX) == set()
    closing = approached().add(1, at(), width=0.07)
    assert behaviours(lifted(closing, yaw_deg=15.0), BOX) == set()  # the closing fingers turned it


def test_a_hand_that_goes_to_the_object_while_it_closes_pushes_correctively():
    aside = approached(at(y=0.02)).add(1, at(y=0.02), width=0.07)
    assert behaviours(lifted(aside), BOX) == {EmergentBehaviour.CORRECTIVE_PUSH}
    drawn = approached(at(y=0.02)).add(4, at(y=0.02), box=(0, 0.02, 0), width=ROUND_IT)
    still = drawn.add(10, at(y=0.02, z=0.05), box=(0, 0.02, 0.05), width=ROUND_IT).trace()
    assert behaviours(still, BOX) == set()  # the fingers drew the object to the hand


def test_what_was_missed_or_lost_first_took_a_second_attempt():
    missed = approached(at(z=0.04)).add(10, at(z=0.04), width=SHUT).add(10, at())
    assert behaviours(lifted(missed), BOX) == {EmergentBehaviour.SECOND_ATTEMPT}
    assert behaviours(lifted(held().add(10, at(z=0.1)).add(10, at())), BOX) == {EmergentBehaviour.SECOND_ATTEMPT}


def test_a_correction_is_summed_along_and_across_the_approach_until_the_hand_has_the_object():
    trace = lifted(approached(at(y=0.02, z=0.02)))
    residual = np.zeros_like(trace.residual)
    residual[:, :3] = (0.0, -0.002, -0.003)  # down, and towards a box that lies at smaller y
    found = approach_correction(replace(trace, residual=residual), BOX)
    near = np.linalg.norm(trace.gripper_pose[:, :3] - PLACE, axis=-1) < 0.1
    before = int(near[: np.argmax(trace.object_poses[:, 0, 2] > 0.03)].sum())  # m above the table, as the box is lifted
    assert found.ahead == pytest.approx(0.003 * before, abs=1e-6) and 0.5 < found.aside / (0.002 * before) <= 1.0
    assert approach_correction(trace, BOX).ahead == 0.0
    pushing = pushed(up=0.03)
    residual = np.zeros_like(pushing.residual)
    residual[:, :3] = (0.0, 0.001, -0.002)  # into the cabinet, and down to the middle of the face
    found = approach_correction(replace(pushing, residual=residual), DRAWER)
    assert found.aside == pytest.approx(2 * found.ahead) and found.ahead > 0.005


def test_first_run_is_where_a_long_enough_run_begins():
    of = np.array([True, False, True, True, True, False])
    assert first_run(of, 1) == 0 and first_run(of, 2) == 2 and first_run(of, 3) == 2 and first_run(of, 4) is None
    assert first_run(of, 1, start=1) == 2 and first_run(of, 1, start=5) is None


class ToyWithTruth(ToyEnvironment):
    """Its tracker is off by 1 m."""

    def true_state(self):
        return super().observe()

    def observe(self):
        seen = super().observe()
        return replace(seen, object_poses=seen.object_poses + 1.0)


def test_recorded_courses_hold_true_poses_of_every_episode_in_its_own_length():
    world = ToyWithTruth(3)
    recorder = StateRecorder(world)
    outcomes = run_episodes(world, ToyBase(), None, [11, 12, 13, 14], recorder)
    assert {seed: len(trace) for seed, trace in recorder.traces.items()} == {o.seed: o.steps for o in outcomes}
    trace = recorder.traces[14]
    assert trace.object_poses.shape == (len(trace), 1, 7)
    assert trace.object_poses[0, 0, :3] == pytest.approx(world.object[0]) and not trace.residual.any()
    assert trace.gripper_pose[1, 2] - trace.gripper_pose[0, 2] == pytest.approx(trace.action[0, 2], abs=1e-6)
