"""What `benchmarks.tracking` counts, and what its sequences hold."""

import itertools

import numpy as np
import pytest

from benchmarks.tracking import Row, error_table, errors, recoveries, verdicts
from benchmarks.tracking_sequences import KINDS, sequence
from ocrrl.interface.tabletop_tasks import CLOSE_DRAWER, CUBE_LIFT, STAND_CUP_UP


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
    said = verdicts(rows)
    assert "| wrong object accepted [frames of 1] | 1.00 | 0 |" in said
    assert "| bad among accepted [%] | 10.00 | <= 5 |" in said


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
