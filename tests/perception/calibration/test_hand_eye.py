from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface import rigid, rotations
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.hand_eye import MOUNTINGS, View, solve
from ocrrl.perception.calibration.hand_eye_quality import (
    QualityLimits,
    check_quality,
    check_views,
    measure_quality,
    orientation_spread,
)
from tests.perception.calibration.synthetic_views import BOARD, D435, SyntheticCell


def error_of(answer, cell: SyntheticCell) -> tuple[float, float]:
    """Of the camera's pose, in mm and degrees."""
    metres, radians = rigid.distance(answer.camera_pose, cell.camera_pose)
    return 1000 * metres, float(np.rad2deg(radians))


def off(pose: np.ndarray, metres: float, degrees: float, generator: np.random.Generator) -> np.ndarray:
    turn = rotations.from_rotation_vector(generator.normal(scale=np.deg2rad(degrees), size=3))
    return rigid.compose(pose, np.concatenate([generator.normal(scale=metres, size=3), turn]))


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_exact_views_give_the_exact_pose(mounting):
    cell = SyntheticCell(mounting)
    answer = solve(cell.views(12, noise=0.0), BOARD, D435, mounting)
    assert error_of(answer, cell) < (1e-3, 1e-3)
    assert rigid.distance(answer.board_pose, cell.board_pose)[0] < 1e-6 and answer.reprojection_rms < 1e-3


@pytest.mark.parametrize("mounting", MOUNTINGS)
@pytest.mark.parametrize("seed", range(3))
def test_twenty_views_find_the_camera(mounting, seed):
    cell = SyntheticCell(mounting, seed)
    views = cell.views(20)
    check_views(views, D435.width, D435.height)
    answer = solve(views, BOARD, D435, mounting)
    millimetres, degrees = error_of(answer, cell)
    assert millimetres < 1.0 and degrees < 0.1
    assert answer.used == tuple(range(20))
    assert 0.3 < answer.reprojection_rms < 0.5  # 0.3 pixels in each of two coordinates


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_an_arm_that_is_not_exact_is_borne(mounting):
    cell = SyntheticCell(mounting, 1)
    views = [replace(v, gripper_pose=off(v.gripper_pose, 0.0004, 0.04, cell.generator)) for v in cell.views(20)]
    answer = solve(views, BOARD, D435, mounting)
    millimetres, degrees = error_of(answer, cell)
    assert millimetres < 2.0 and degrees < 0.3


def test_views_that_do_not_fit_the_others_are_left_out():
    cell = SyntheticCell("fixed", 2)
    views = cell.views(20)
    for index in (3, 11):  # taken while the arm was still moving
        views[index] = replace(views[index], gripper_pose=off(views[index].gripper_pose, 0.03, 3.0, cell.generator))
    answer = solve(views, BOARD, D435, "fixed")
    assert set(range(20)) - set(answer.used) == {3, 11}
    millimetres, degrees = error_of(answer, cell)
    assert millimetres < 1.0 and degrees < 0.1


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_the_quality_figures_tell_the_error(mounting):
    """Over many cells the jackknife's standard error is of the size of the errors that there are."""
    errors, expected = [], []
    for seed in range(6):
        cell = SyntheticCell(mounting, 10 + seed)
        views = [replace(v, gripper_pose=off(v.gripper_pose, 0.0004, 0.04, cell.generator)) for v in cell.views(16)]
        answer = solve(views, BOARD, D435, mounting)
        quality = measure_quality(answer, views, BOARD, D435, mounting)
        errors.append(error_of(answer, cell))
        expected.append((quality.position_error_mm, quality.rotation_error_deg))
        assert quality.reprojection_rms_px == answer.reprojection_rms and 0 < quality.held_out_mm < 5
    ratio = np.sqrt((np.array(errors) ** 2).mean(axis=0) / (np.array(expected) ** 2).mean(axis=0))
    assert (ratio > 0.4).all() and (ratio < 2.0).all()


def test_a_poor_calibration_is_refused_by_figure():
    cell = SyntheticCell("fixed")
    views = [replace(v, gripper_pose=off(v.gripper_pose, 0.01, 1.0, cell.generator)) for v in cell.views(14)]
    answer = solve(views, BOARD, D435, "fixed")
    quality = measure_quality(answer, views, BOARD, D435, "fixed")
    with pytest.raises(ValueError, match=r"reprojection_rms_px \d+\.\d+ \(at most 1\), position_error_mm"):
        check_quality(quality, QualityLimits())


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_a_board_that_the_printer_shrank_is_refused(mounting):
    """A board of 97 % puts the camera 4 to 11 mm off, which the reprojection error hardly tells."""
    cell = SyntheticCell(mounting)
    views = [replace(v, gripper_pose=off(v.gripper_pose, 0.0004, 0.04, cell.generator)) for v in cell.views(20)]
    believed = CharucoBoard(square=BOARD.square / 0.97, marker=BOARD.marker / 0.97)
    quality = measure_quality(solve(views, believed, D435, mounting), views, believed, D435, mounting)
    assert abs(quality.board_scale_percent - 3.0) < 0.5
    with pytest.raises(ValueError, match=r"board_scale_percent \d\.\d+ \(at most 0\.7\).* Measure the board's squares"):
        check_quality(quality, QualityLimits())


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_a_wrong_focal_length_is_refused(mounting):
    views = SyntheticCell(mounting).views(20)
    wrong = replace(D435, fx=1.03 * D435.fx, fy=1.03 * D435.fy)
    quality = measure_quality(solve(views, BOARD, wrong, mounting), views, BOARD, wrong, mounting)
    assert abs(quality.focal_scale_percent - 2.9) < 0.3 and quality.board_scale_percent < 0.1
    with pytest.raises(ValueError, match=r"focal_scale_percent 2\.\d+ \(at most 2\)"):
        check_quality(quality, QualityLimits())


def test_too_few_views_are_refused():
    with pytest.raises(ValueError, match="must have at least 12 views of the board, got 5: take more"):
        check_views(SyntheticCell("fixed").views(5), D435.width, D435.height)


def test_views_that_are_alike_are_refused():
    with pytest.raises(ValueError, match=r"by at least 5 deg .* about two axes, got \d\.\d and \d\.\d deg: take"):
        check_views(SyntheticCell("fixed", spread=0.05).views(20), D435.width, D435.height)


def test_turns_about_one_axis_alone_are_refused():
    views = SyntheticCell("fixed").views(1) * 20
    turned = []
    for view, angle in zip(views, np.linspace(-0.8, 0.8, 20), strict=True):
        turn = np.concatenate([np.zeros(3), rotations.from_rotation_vector(np.array([0.0, 0.0, angle]))])
        turned.append(View(rigid.compose(view.gripper_pose, turn), view.corners))
    with pytest.raises(ValueError, match=r"got 27\.\d and 0\.0 deg"):
        check_views(turned, D435.width, D435.height)


def test_a_board_that_stays_in_one_place_of_the_image_is_refused():
    views = [replace(v, corners=SyntheticCell("fixed").views(1)[0].corners) for v in SyntheticCell("fixed").views(12)]
    with pytest.raises(ValueError, match=r"must cover at least 15% of the image together, got \d%"):
        check_views(views, D435.width, D435.height)


def test_orientations_spread_as_far_as_they_were_turned():
    angles = np.random.default_rng(0).normal(scale=[0.3, 0.1, 0.02], size=(4000, 3))
    poses = np.concatenate([np.zeros((4000, 3)), rotations.from_rotation_vector(angles)], axis=-1)
    assert np.allclose(orientation_spread(poses), [0.3, 0.1, 0.02], rtol=0.05)


def test_an_unknown_mounting_names_the_known_ones():
    with pytest.raises(ValueError, match="mounting must be one of fixed, wrist, got 'ceiling'"):
        solve(SyntheticCell("fixed").views(2), BOARD, D435, "ceiling")  # pyright: ignore[reportArgumentType]


def test_a_limit_of_0_is_refused():
    with pytest.raises(ValueError, match="limit of held_out_mm must be above 0, got 0"):
        QualityLimits(held_out_mm=0.0)
