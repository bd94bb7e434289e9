"""Which way a recorded gripper goes, and how far: declared, found and said, or refused with the lines to add."""

import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.meaning.episode_meaning import measured_width
from ocrrl.recordings.meaning.gripper_command import GripperDeclaration, commanded_opening
from tests.recordings.meaning.moving_arm import ROWS, closing_command, closing_width

OPEN, WIDTH = closing_command(), closing_width()
STILL = np.zeros(ROWS)


def lerobot(closed=None, opened=None, **rest):
    return GripperDeclaration(closed, opened, usual=(0.0, 1.0), strict=False, **rest)


def robosuite(closed=None, opened=None):
    return GripperDeclaration(closed, opened, usual=(1.0, -1.0), strict=True)


def read(command, declaration, width=WIDTH):
    return commanded_opening(np.asarray(command, float), width, declaration, 20.0)


@pytest.mark.parametrize(
    ("command", "declaration", "notes"),
    [
        (OPEN, lerobot(), 0),
        (OPEN, lerobot(0.0, 1.0), 0),
        (1 - 2 * OPEN, robosuite(), 0),
        (255 * OPEN, lerobot(0.0, 255.0), 0),
        (1 - OPEN, lerobot(1.0, 0.0), 0),
        (2 * OPEN - 1, robosuite(-1.0, 1.0), 0),
        (0.08 * OPEN, lerobot(0.0, 0.08), 0),
        (1.01 * OPEN, lerobot(), 0),
        (255 * OPEN, lerobot(), 1),
        (100 * OPEN, lerobot(), 1),
        (2 * OPEN - 1, lerobot(), 1),
        (1 - 2 * OPEN, lerobot(), 1),
        (1 - OPEN, lerobot(), 1),
        (0.08 * OPEN, lerobot(), 1),
    ],
)
def test_a_command_is_read_as_declared_or_found_from_the_width_and_said(command, declaration, notes):
    opening, said = read(command, declaration)
    np.testing.assert_allclose(opening, OPEN, atol=1e-9)
    assert len(said) == notes and all("as gripper_width tells" in note for note in said)


@pytest.mark.parametrize(
    ("command", "declaration", "message"),
    [
        (
            25.5 + 204 * OPEN,
            lerobot(),
            r"between gripper_closed 0 and gripper_open 1, got 229.5 \(0..255\? then gripper_open: 255\)",
        ),
        (255 * OPEN, robosuite(), r"got 255 \(0..255\? then gripper_closed: 0 and gripper_open: 255\)"),
        (255 - 255 * OPEN, robosuite(), r"got 255 \(0..255\? then gripper_closed: 255 and gripper_open: 0\)"),
        (20 + 60 * OPEN, lerobot(), r"got 80 \(0..100\? then gripper_open: 100\)"),
        (2 * OPEN - 1, lerobot(0.0, 1.0), r"got -1 \(-1..1\? then gripper_closed: -1\)"),
        (OPEN, robosuite(), r"runs against the measured gripper_width.*gripper_closed: 0 and gripper_open: 1"),
        (2 * OPEN - 1, robosuite(), r"runs against.*gripper_closed: -1 and gripper_open: 1"),
        (1 - OPEN, lerobot(0.0, 1.0), r"runs against.*gripper_closed: 1 and gripper_open: 0"),
        (
            1 - OPEN,
            lerobot(scale=0.08),
            r"runs against.*gripper_closed: 1 and gripper_open: 0; or, if the width is what is reversed, gripper_width_scale: -0.08",
        ),
        (0.08 * OPEN, lerobot(0.0, 1.0), r"got 0 to 0.08 while .*metres\? then gripper_open: 0.08"),
        (
            OPEN,
            lerobot(-1.0, 1.0),
            r"from gripper_closed -1 to gripper_open 1 .*then gripper_closed: 0 and gripper_open: 1",
        ),
        (OPEN, lerobot(0.0, 100.0), r"got 0 to 1 while .*then gripper_closed: 0 and gripper_open: 1"),
        (0.5 * OPEN, lerobot(), r"got 0 to 0.5 while .*then gripper_closed: 0 and gripper_open: 0.5"),
        (0.8 - 0.8 * OPEN, lerobot(0.0, 1.0), r"runs against.*gripper_closed: 0.8 and gripper_open: 0"),
        (0.7 + STILL, lerobot(), r"changing as the fingers close and open, got 0.7 throughout .*another column\?"),
        (np.where(np.arange(ROWS) == 7, np.nan, OPEN), lerobot(), "finite, got nan at step 7"),
    ],
)
def test_a_command_that_the_width_or_the_range_contradicts_is_refused_with_the_lines(command, declaration, message):
    with pytest.raises(EpisodeRejected, match=f"gripper_command must be .*{message}"):
        read(command, declaration)


def test_shares_of_closedness_for_command_and_width_are_recognised():
    width = measured_width(1 - WIDTH[:, None] / 0.08, 0.08, 0.0)
    with pytest.raises(
        EpisodeRejected, match=r"begin shut on nothing.*gripper_width_scale: -0.08, gripper_width_at_zero: 0.08"
    ):
        read(1 - OPEN, lerobot(scale=0.08), width)
    cured = measured_width(1 - WIDTH[:, None] / 0.08, -0.08, 0.08)
    np.testing.assert_allclose(cured, WIDTH, atol=1e-9)
    np.testing.assert_allclose(read(1 - OPEN, lerobot(1.0, 0.0, scale=-0.08), cured)[0], OPEN)
    assert read(1 - OPEN, lerobot(0.0, 1.0, scale=0.08), width)[1] == (), "declared so, it is believed"


def test_a_gripper_that_holds_still_is_taken_and_said():
    assert read(STILL, lerobot(), STILL)[1] == ("gripper_command: never opens or closes the gripper",)
    assert read(OPEN, lerobot(), STILL)[1] == (
        "gripper_width: never changes, so the direction of gripper_command cannot be checked",
    )
    closing = np.maximum(0.0, 0.08 - 0.01 * np.arange(ROWS))
    assert read(STILL, lerobot(), closing)[1] == ("gripper_command: the same in every row",), (
        "closed from the first row on"
    )


@pytest.mark.parametrize(
    ("rows", "hz", "delay"), [(5, 20.0, 2), (12, 20.0, 4), (20, 5.0, 2), (60, 20.0, 10), (60, 50.0, 20)]
)
def test_fingers_that_follow_late_or_briefly_do_not_reverse_a_command(rows, hz, delay):
    command = closing_command(rows)
    width = 0.03 + 0.05 * np.concatenate([np.ones(delay), command])[:rows]
    opening, notes = commanded_opening(command, width, lerobot(), hz)
    np.testing.assert_array_equal(opening, command)
    assert notes == ()


def test_a_command_that_never_changes_must_be_obeyed():
    shutting = np.maximum(0.0, 0.08 - 0.01 * np.arange(ROWS))
    with pytest.raises(
        EpisodeRejected, match=r"got 1 throughout .*reversed\? then gripper_closed: 1 and gripper_open: 0"
    ):
        read(STILL + 1, lerobot(), shutting)
    with pytest.raises(EpisodeRejected, match=r"got 0 throughout .*reversed\?"):
        read(STILL, lerobot(), STILL + 0.08)
    assert read(STILL + 1, lerobot(1.0, 0.0), shutting)[0].max() == 0.0


def test_a_width_command_on_a_thick_object_is_found_though_the_fingers_hardly_move():
    width = 0.065 + 0.015 * np.concatenate([np.ones(2), OPEN])[:ROWS]
    opening, notes = read(0.08 * OPEN, lerobot(), width)
    np.testing.assert_allclose(opening, OPEN)
    assert len(notes) == 1
    with pytest.raises(EpisodeRejected, match=r"metres\? then gripper_open: 0.08"):
        read(0.08 * OPEN, lerobot(0.0, 1.0), width)


def test_the_width_is_metres_of_one_number_or_two_fingers():
    np.testing.assert_allclose(measured_width(np.array([[0.02, -0.02], [0.04, -0.04]]), 1.0, 0.0), [0.04, 0.08])
    for values, message in (
        (np.array([[0.3], [1.0]]), r"got 1 \(0..1\? then gripper_width_scale: 0.08\)"),
        (np.array([[10.0], [78.0]]), r"got 78 \(millimetres\? then gripper_width_scale: 0.001\)"),
        (np.array([[10.0], [250.0]]), r"got 250 \(0..255\? then gripper_width_scale: 0.00031373\)"),
        (np.array([[-0.05], [0.0]]), r"got -0.05 \(0 open"),
        (np.array([[0.0], [np.inf]]), "finite, got inf at step 1"),
        (np.zeros((2, 3)), "1 number, or 2 fingers' positions, got 3"),
    ):
        with pytest.raises(EpisodeRejected, match=f"gripper_width must be .*{message}"):
            measured_width(values, 1.0, 0.0)
