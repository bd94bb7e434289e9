"""Refining a pose and judging it, on points without noise."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.tracking import fit_coefficients
from ocrrl.interface import rotations
from ocrrl.perception.tracking.confidence import FEATURES, confidence, features
from ocrrl.perception.tracking.fitting.hypotheses import levelled, turned_end_over_end
from ocrrl.perception.tracking.fitting.object_pixels import mark_other, mark_part
from ocrrl.perception.tracking.fitting.pixels import BACKGROUND, OBJECT, OTHER, ROBOT, Pixels, Window
from ocrrl.perception.tracking.fitting.pose_fit import (
    APART,
    Body,
    Fit,
    agreement,
    fit,
    with_lead,
)
from ocrrl.perception.tracking.fitting.render_and_compare import cast
from ocrrl.tabletop.registry import shapes_of, tabletop_task

CAMERA = np.array([1.0, 0.0, 0.75])
MIDDLE = np.array([0.5, 0.0, 0.20])  # clear of the table
FREE = {"cuboid": ("cube_lift", "cuboid"), "cup": ("stand_cup_up", "cup"), "bowl": ("pick_and_place", "bowl")}


def view_of(body, rotation, position, width=120, focal=500.0):
    """Pixels and their codes of a camera that looks at MIDDLE and sees the body before a far wall."""
    forward = (MIDDLE - CAMERA) / np.linalg.norm(MIDDLE - CAMERA)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    u, v = np.meshgrid(np.arange(width) - width / 2, np.arange(width) - width / 2)
    rays = (forward + (u[..., None] * right + v[..., None] * down) / focal * 2.0).reshape(-1, 3)
    hits = cast(body.rows, body.radius, rotation, position, CAMERA, rays)
    code = np.where(hits > 0, OBJECT, BACKGROUND).astype(np.int8)
    pixels = Pixels(
        Window(0, 0, width, width, 1), CAMERA, rays, np.where(hits > 0, hits, 1.5), np.zeros((len(rays), 3))
    )
    return pixels, code


def body_of(slug, name):
    return Body(shapes_of(tabletop_task(slug))[name])


def some_pose(generator, tilt=np.pi):
    """A turn about a random axis by up to `tilt` [rad]: a bowl seen edge on could be anywhere along its floor."""
    axis = rotations.normalise(generator.normal(size=3))
    turn = rotations.from_rotation_vector(axis * generator.uniform(0, tilt))
    return rotations.to_matrix(turn), MIDDLE + generator.uniform(-0.03, 0.03, 3)


@pytest.mark.parametrize(("slug", "name"), FREE.values(), ids=FREE.keys())
def test_a_perturbed_pose_is_recovered_on_clean_points(slug, name):
    body, generator = body_of(slug, name), np.random.default_rng(0)
    for _ in range(8):
        rotation, position = some_pose(generator, tilt=0.3 if name == "bowl" else np.pi)
        pixels, code = view_of(body, rotation, position)
        turn = rotations.to_matrix(rotations.from_rotation_vector(0.12 * generator.normal(size=3) / np.sqrt(3)))
        start = rotation @ turn, position + 0.01 * generator.normal(size=3) / np.sqrt(3)
        widths = body.widths(iterations=15)
        found = fit(body, pixels, code, *start, widths, body.prior(0.05, 0.5), rests=False)
        assert np.linalg.norm(found.position - position) < 3e-3
        axis = found.rotation[:, 2] @ rotation[:, 2] if body.round else (np.trace(found.rotation.T @ rotation) - 1) / 2
        assert np.arccos(np.clip(axis, -1, 1)) < np.deg2rad(1.5)


@pytest.mark.parametrize(("slug", "name"), FREE.values(), ids=FREE.keys())
def test_the_true_pose_agrees_wholly_and_a_wrong_one_is_contradicted(slug, name):
    body, generator = body_of(slug, name), np.random.default_rng(1)
    rotation, position = some_pose(generator)
    pixels, code = view_of(body, rotation, position)
    true, wrong = (agreement(body, pixels, code, rotation, position + np.array([0, y, 0])) for y in (0.0, 0.03))
    assert true.score == true.inlier == true.visible == true.explained == 1.0 and true.misfit < 1e-6
    assert wrong.score < 0.8 and wrong.see_through > 0 and wrong.unexplained > 0


def test_what_covers_an_object_hides_it_and_contradicts_nothing():
    body, generator = body_of("cube_lift", "cuboid"), np.random.default_rng(2)
    rotation, position = some_pose(generator)
    pixels, code = view_of(body, rotation, position)
    half = pixels.rays[:, 1] < np.median(pixels.rays[code == OBJECT, 1])
    pixels.depth[half] = 0.3
    code[half] = BACKGROUND
    said = agreement(body, pixels, code, rotation, position)
    hidden = said.covered / said.predicted
    assert said.inlier == 1.0 and 0.3 < hidden < 0.7 and said.visible == pytest.approx(1 - hidden)


def test_the_same_frame_gives_the_same_bits():
    body, generator = body_of("stand_cup_up", "cup"), np.random.default_rng(3)
    rotation, position = some_pose(generator)
    pixels, code = view_of(body, rotation, position)
    first, second = (
        fit(body, pixels, code, rotation, position + 0.01, body.widths(), body.prior(0.02, 0.2), rests=True)
        for _ in "ab"
    )
    assert first.agreement == second.agreement
    np.testing.assert_array_equal(first.rotation, second.rotation)
    np.testing.assert_array_equal(first.information, second.information)


def test_a_body_that_stands_is_only_moved_across_the_table():
    body = body_of("close_drawer", "cabinet")
    position = np.array([0.4, 0.0, 0.0])
    pixels, code = view_of(body, np.eye(3), position)
    found = fit(
        body,
        pixels,
        code,
        np.eye(3),
        position + 0.01 * (1 - np.eye(3)[2]),
        body.widths(),
        body.prior(0.05, 0.3),
        rests=True,
    )
    assert abs(found.position[2]) < 1e-4 and found.rotation[2, 2] > 1 - 1e-6
    assert np.linalg.norm(found.position - position) < 2e-3


def test_a_cup_turned_end_over_end_stands_where_it_stood():
    body, generator = body_of("stand_cup_up", "cup"), np.random.default_rng(4)
    rotation, position = some_pose(generator)
    flipped = turned_end_over_end(body, rotation, position)
    np.testing.assert_allclose(flipped[0][:, 2], -rotation[:, 2], atol=1e-12)
    centre = body.corners.mean(0)
    np.testing.assert_allclose(flipped[1] + flipped[0] @ centre, position + rotation @ centre, atol=1e-12)
    again = turned_end_over_end(body, *flipped)
    np.testing.assert_allclose(again[0], rotation, atol=1e-12)


def test_points_of_another_object_are_its_own_unless_they_have_this_one_s_colour():
    body = body_of("stack_cube", "white_cube")
    below = body, np.eye(3), MIDDLE
    above = body, np.eye(3), MIDDLE + np.array([0.0, 0.0, 0.04])
    pixels, code = view_of(*below)
    seen = code == OBJECT
    own = code.copy()
    mark_other(pixels, own, below, above)
    assert (own[seen] == OBJECT).mean() > 0.95
    code[seen] = BACKGROUND
    mark_other(pixels, code, above, below)
    assert (code[seen] == OTHER).all() and (code[~seen] == BACKGROUND).all()
    code[seen] = ROBOT
    mark_other(pixels, code, above, below)
    assert (code[seen] == ROBOT).all()


def test_quaternions_of_matrices_are_unit_and_turn_alike():
    generator = np.random.default_rng(5)
    for quaternion in rotations.normalise(generator.normal(size=(50, 4))):
        back = rotations.from_matrix(rotations.to_matrix(quaternion))
        assert np.linalg.norm(back) == pytest.approx(1.0)
        assert rotations.angle_between(back, quaternion) < 1e-6


def test_coefficients_separate_what_they_were_fitted_to():
    generator = np.random.default_rng(6)
    values = generator.normal(size=(500, len(FEATURES)))
    values[:, 0] = 1.0
    near = generator.random(500) < 1 / (1 + np.exp(-(1.0 + 2.0 * values[:, 1] - 3.0 * values[:, 2])))
    fitted = fit_coefficients(values, near)
    assert fitted[1] == pytest.approx(2.0, abs=0.6) and fitted[2] == pytest.approx(-3.0, abs=0.8)
    assert np.abs(fitted[3:]).max() < 0.5
    with pytest.raises(ValueError, match="poses that were near and others that were not, got 500 of 500"):
        fit_coefficients(values, np.ones(500, bool))


def test_features_have_their_names_and_say_how_well_a_pose_is_known():
    body, generator = body_of("cube_lift", "cuboid"), np.random.default_rng(7)
    rotation, position = some_pose(generator)
    pixels, code = view_of(body, rotation, position)
    whole = fit(body, pixels, code, rotation, position, body.widths(), body.prior(0.02, 0.2), rests=False)
    half = pixels.rays[:, 1] < np.median(pixels.rays[code == OBJECT, 1])
    pixels.depth[half], code[half] = 0.3, BACKGROUND
    part = fit(body, pixels, code, rotation, position, body.widths(), body.prior(0.02, 0.2), rests=False)
    named = [dict(zip(FEATURES, features(body, found), strict=True)) for found in (whole, part)]
    assert named[0]["visible"] > 0.98 > named[1]["visible"]
    assert named[0]["log position spread"] < named[1]["log position spread"]


def test_a_box_that_is_levelled_has_an_axis_upright_and_turns_no_further_than_needed():
    generator = np.random.default_rng(8)
    for _ in range(20):
        rotation, _ = some_pose(generator)
        level = levelled(rotation)
        assert np.abs(level[2]).max() == pytest.approx(1.0)
        moved = np.arccos(np.clip((np.trace(level.T @ rotation) - 1) / 2, -1, 1))
        assert moved == pytest.approx(np.arccos(np.abs(rotation[2]).max()), abs=1e-6)
        np.testing.assert_allclose(levelled(level), level, atol=1e-9)


def test_the_lead_of_a_large_body_is_lost_where_the_same_pose_further_along_fits_better():
    cabinet = body_of("close_drawer", "cabinet")
    rotation, position = rotations.to_matrix(np.array([0.0, 0.0, 0.0, 1.0])), np.array([0.4, 0.0, 0.0])
    pixels, code = view_of(cabinet, rotation, position)

    def lead(shift):
        at = position + rotation @ np.array(shift)
        found = Fit(rotation, at, np.eye(6), agreement(cabinet, pixels, code, rotation, at))
        return with_lead(cabinet, pixels, code, found).lead

    assert lead((0.0, 0.0, 0.0)) > 0
    for shift in ((APART, 0.0, 0.0), (-APART, 0.0, 0.0), (0.0, APART, 0.0), (0.0, -APART, 0.0)):
        assert lead(shift) < 0


def test_a_pose_without_a_lead_has_no_confidence_however_well_it_agrees():
    cup = body_of("stand_cup_up", "cup")
    pixels, code = view_of(cup, np.eye(3), MIDDLE)
    found = Fit(np.eye(3), MIDDLE, 1e6 * np.eye(6), agreement(cup, pixels, code, np.eye(3), MIDDLE))
    assert confidence(cup, replace(found, lead=1.0)) == confidence(cup, found) > 0.9
    assert confidence(cup, replace(found, lead=-1.0)) == 0.0


def test_a_body_that_moves_freely_cannot_be_outdone():
    cup = body_of("stand_cup_up", "cup")
    pixels, code = view_of(cup, np.eye(3), MIDDLE)
    found = Fit(np.eye(3), MIDDLE, np.eye(6), agreement(cup, pixels, code, np.eye(3), MIDDLE))
    assert with_lead(cup, pixels, code, found).lead == np.inf


def test_the_pixels_of_a_part_are_not_its_holder_s_even_where_no_depth_was_measured():
    part = body_of("cube_lift", "cuboid")
    pixels, code = view_of(part, np.eye(3), MIDDLE)
    hits = code == OBJECT
    holes = hits & (np.arange(len(code)) % 3 == 0)
    pixels.depth[holes] = 0.0
    code[np.flatnonzero(hits)[1]] = ROBOT
    mark_part(pixels, code, (part, np.eye(3), MIDDLE))
    assert (code[hits] == OTHER).sum() == hits.sum() - 1 and code[np.flatnonzero(hits)[1]] == ROBOT
    far = pixels.depth == 1.5
    assert (code[far] == BACKGROUND).all()
