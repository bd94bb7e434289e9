"""A demonstration as rows of a dataset: chunks of those rows, read as a policy's replies, are the demonstration's steps."""

from functools import cache

import numpy as np
import pytest

from ocrrl.interface.actions import ACTION_NAMES, CONTROL_HZ
from ocrrl.interface.episode import Episode
from ocrrl.interface.observations import RobotState
from ocrrl.policies.action_forms.action_form import DEFAULT, action_form
from ocrrl.policies.action_forms.columns import (
    action_groups,
    action_names,
    demonstrated_rows,
    gr00t_policy,
    openpi_policy,
    require_exportable,
    state_groups,
    state_names,
)
from ocrrl.policies.action_forms.named_forms import NAMED_FORMS
from ocrrl.rollouts.record import collect_episodes
from ocrrl.worlds import make_teleoperator, make_twin

TOLERANCE = 1e-5  # [m], [rad]: a dataset's state is float32
EXPORTED = [name for name, fields in NAMED_FORMS.items() if fields.get("actions") != "offsets"]


@cache
def demonstration() -> Episode:
    twin = make_twin("stack_cube", 1)
    twin.capture = lambda ids: {"front": np.zeros((len(ids), 4, 4, 3), np.uint8)}
    return next(iter(collect_episodes(twin, make_teleoperator("stack_cube", twin), [3], "scripted", {}, {})))


def rows_of(name: str):
    episode, form = demonstration(), action_form({"form": name}, "test")
    return form, demonstrated_rows(
        form, episode.observation().proprioception(), episode.action, episode.joint_positions
    )


def state_at(row: int) -> RobotState:
    seen = demonstration().observation()
    whole = RobotState(seen.gripper_pose, seen.commanded_pose, seen.joint_positions, seen.gripper_width)
    return whole.take(np.array([row]))


@pytest.mark.parametrize("name", [name for name in EXPORTED if NAMED_FORMS[name].get("hz", CONTROL_HZ) == CONTROL_HZ])
def test_a_chunk_of_rows_is_the_chunk_of_the_demonstration(name):
    (form, rows), episode = rows_of(name), demonstration()
    assert rows.state.shape == (len(episode), len(state_names(form)))
    assert rows.action.shape == (len(episode), len(action_names(form)))
    begins = np.cumsum([0, *form.keys.values()])
    for first in (0, 20, 45):
        taken = rows.action[None, first : first + 16]
        reply = {
            key: taken[..., begin : begin + width]
            for (key, width), begin in zip(form.keys.items(), begins, strict=False)
        }
        chunk, wanted = form.to_steps(reply, state_at(first))[0], episode.action[first : first + 16]
        # Joint velocities of a dataset start from each row's measured joints, whose motion between rows is the arm's.
        most = 5e-3 if form.declaration.actions == "joint_velocities" else TOLERANCE
        np.testing.assert_allclose(chunk[:, :6], wanted[:, :6], rtol=0, atol=most)
        opening = np.round(wanted[:, 6]) if form.declaration.gripper_binary else wanted[:, 6]
        np.testing.assert_allclose(chunk[:, 6], opening, rtol=0, atol=TOLERANCE)


def test_rows_at_another_rate_are_fewer_and_end_where_the_demonstration_does():
    _, rows = rows_of("droid_joint_velocities")
    assert len(rows.at) == len(demonstration()) * 15 // 20
    np.testing.assert_allclose(np.diff(rows.at), 20 / 15)
    poses = action_form({"form": "gr00t_poses", "hz": 10.0}, "test")
    episode = demonstration()
    rows = demonstrated_rows(poses, episode.observation().proprioception(), episode.action)
    np.testing.assert_allclose(
        rows.action[:-1, :3], episode.commanded_pose[2:-1:2, :3][: len(rows.action) - 1], atol=TOLERANCE
    )


def test_our_own_steps_are_the_datasets_to_the_bit():
    _, rows = rows_of("steps")
    np.testing.assert_array_equal(rows.action, demonstration().action)
    np.testing.assert_array_equal(rows.state.astype(np.float32), demonstration().observation().proprioception())
    assert action_names(DEFAULT) == ACTION_NAMES


@pytest.mark.parametrize("name", EXPORTED)
def test_groups_cover_every_column_that_is_selected(name):
    form = action_form({"form": name}, "test")
    columns = [column for group in action_groups(form) for column in range(group.start, group.end)]
    assert len(columns) == len(set(columns)) and set(columns) <= set(range(sum(form.keys.values())))
    names = [group.name for group in action_groups(form)]
    assert len(set(names)) == len(names)
    assert [c for group in state_groups(form) for c in range(group.start, group.end)] == list(range(8))


@pytest.mark.parametrize("name", EXPORTED)
def test_what_a_server_answers_is_read_by_the_section_that_goes_with_it(name):
    """GR00T answers by groups, openpi with all columns: both declarations give the steps of the rows' own form."""
    form, rows = rows_of(name)
    row = rows.action[None, 10:14]
    begins = np.cumsum([0, *form.keys.values()])
    own = {key: row[..., begin : begin + width] for (key, width), begin in zip(form.keys.items(), begins, strict=False)}
    expected = form.to_steps(own, state_at(10))
    grouped = {group.name: row[..., group.start : group.end] for group in action_groups(form)}
    for policy, reply in (
        (gr00t_policy(form, {"form": name}, ["front"]), grouped),
        (openpi_policy(form, {"form": name}, {"front": "observation/image"}), {"actions": row}),
    ):
        np.testing.assert_array_equal(
            action_form(policy["actions"], "policy.actions").to_steps(reply, state_at(10)), expected
        )


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"form": "gr00t_eef_offsets"}, r"actions must be other than offsets in a dataset.*export `poses`"),
        ({"hz": 12.5}, r"hz must be a whole number up to 20 in a dataset, got 12.5"),
        ({"hz": 50.0}, r"hz must be a whole number up to 20"),
    ],
)
def test_a_form_that_no_dataset_holds_is_refused(declared, message):
    with pytest.raises(ValueError, match=message):
        require_exportable(action_form(declared, "test"))


def test_joints_must_be_at_hand():
    episode, form = demonstration(), action_form({"form": "franka_joint_positions"}, "test")
    with pytest.raises(ValueError, match=r"actions: joint_positions needs the recorded joints.*--episodes"):
        demonstrated_rows(form, episode.observation().proprioception(), episode.action)


def test_columns_that_are_apart_are_no_group():
    form = action_form(
        {"command_position": ["actions[0]", "actions[2]", "actions[4]"], "widths": {"actions": 9}}, "test"
    )
    with pytest.raises(ValueError, match=r"command_position must be columns that follow each other for Isaac-GR00T"):
        action_groups(form)
