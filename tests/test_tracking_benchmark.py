"""What `benchmarks.tracking` counts, and what its sequences hold."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.tracking_sequences import KINDS, occlusion, sequence
from benchmarks.tracking_tables import Row, Share, error_table, errors, recoveries, verdicts
from ocrrl.interface import rotations
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.tabletop.close_drawer import TASK as CLOSE_DRAWER
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.registry import shapes_of
from ocrrl.tabletop.stand_cup_up import TASK as STAND_CUP_UP
from tests.perception.tracking.scenes import Studio


def row(frame=1, kind="demonstration", occlusion=0.0, millimetres=1.0, confidence=0.9, seed=0):
    return Row("cube_lift", "cuboid", kind, seed, frame, occlusion, millimetres / 1000, 0.01, confidence, None, 3.0)


def test_errors_are_modulo_symmetry_and_a_drawer_s_along_its_slide():
    pose = np.array([0.5, 0.0, 0.02, 1.0, 0, 0, 0])
    half_turn = np.array([0.5, 0.001, 0.02, 0.0, 0, 0, 1.0])
    assert errors(CUBE_LIFT.objects[0], half_turn, pose) == (pytest.approx(0.001), pytest.approx(0.0, abs=1e-6))
    spun = np.array([0.5, 0.0, 0.02, np.cos(0.0436), 0, 0, np.sin(0.0436)])  # 5 deg: half a fold of the listed symmetry
    assert errors(STAND_CUP_UP.objects[0], spun, pose)[1] == pytest.approx(0.0, abs=1e-6)
    beside = pose + np.array([0.01, 0.002, 0, 0, 0, 0, 0])
    assert errors(CLOSE_DRAWER.objects[0], beside, pose)[0] == pytest.approx(0.002)


def test_recovery_is_counted_from_when_the_object_is_seen_again():
    occlusion = [0.0, 0.5, 1.0, 1.0, 0.5, 0.1, 0.0, 0.0]
    confidence = [0.9, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.8]
    track = [row(k, "occluded", o, confidence=c) for k, (o, c) in enumerate(zip(occlusion, confidence, strict=True))]
    assert recoveries(track) == [pytest.approx(0.1)]
    assert recoveries([r for r in track if r.frame < 7]) == [np.inf]
    assert recoveries([row(k, "occluded", 0.2) for k in range(5)]) == []


def test_the_tables_name_bands_targets_and_wrong_objects():
    rows = [row(k) for k in range(8)] + [row(9, "beside others", millimetres=80.0), row(10, occlusion=0.6)]
    table = error_table(rows)
    assert "| cube_lift, cuboid | 0%-30% | 9 | 1.0 | 0.6 | 88.9% | 100% | 11.1% |" in table
    assert "| cube_lift, cuboid | 50%-70% | 1 |" in table and "70%-90%" not in table
    (line,) = [line for line in verdicts(rows).splitlines() if "cube_lift, cuboid" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        "cube_lift, cuboid", "1.0 mm, 0.6 deg", "88.9% [88.9, 88.9]", "88.9%", "10.0% [10.0, 10.0]", "1", "0 of 0", "MISSED"
    ]  # fmt: skip


def test_every_object_is_held_to_its_targets_by_itself():
    good = [row(k, seed=seed) for seed in range(4) for k in range(50)]
    lost = [replace(r, name="bowl", position_error=0.02 if r.seed == 3 and r.frame < 9 else 0.001) for r in good]
    said = verdicts(good + lost).splitlines()
    assert "reached" in said[2] and "cuboid" in said[2]
    assert "MISSED" in said[3] and "bowl" in said[3] and "95.5%" in said[3] and "82.0%" in said[3]


def test_an_interval_is_over_seeds_since_the_frames_of_one_are_alike():
    rows = [row(k, seed=seed, millimetres=20.0 if seed == 0 else 1.0) for seed in range(4) for k in range(50)]
    share = Share.of(rows, lambda r: r.near)
    assert (share.rate, share.worst) == (0.75, 0.0) and share.low <= 0.25 and share.high == 1.0
    assert Share.of([], lambda r: r.near) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_is_the_same_every_time_and_shows_its_kind(kind):
    frames = 21 if kind == "occluded" else 2
    first, again = (list(itertools.islice(sequence("cube_lift", kind, 5), frames)) for _ in "ab")
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.frame.depth, other.frame.depth)
        np.testing.assert_array_equal(one.frame.colour, other.frame.colour)
    assert first[1].frame.captured - first[0].frame.captured == pytest.approx(0.05)
    assert first[0].occlusion[0] < 0.1
    assert first[-1].occlusion[0] > 0.9 or kind != "occluded"


@pytest.mark.parametrize("place", range(5))
def test_the_face_of_a_closed_drawer_counts_as_seen(place):
    shapes, studio = shapes_of(CLOSE_DRAWER), Studio("close_drawer")
    poses, slide = studio.initial(3), shapes["drawer"].slide
    for opening in (0.0, -0.0015):  # as far as a push presses it in
        offset = np.asarray(slide.closed[place]) + opening * np.asarray(slide.axis)
        poses[0, :3] = poses[1, :3] + rotations.rotate(poses[1, 3:], offset)
        shot = studio.shoot(poses)
        assert occlusion([Body(shape) for shape in shapes.values()], 0, shot.frame, poses) < 0.2
    studio.close()
