import pytest

from ocrrl.interface.cameras import checked_cameras, described, require_cameras, require_known_cameras


def test_no_result_depends_on_the_order_in_a_file():
    assert list(checked_cameras({"wrist": (96, 96), "front": (96, 128)}, "cameras")) == ["front", "wrist"]


@pytest.mark.parametrize(
    ("cameras", "message"),
    [
        ({}, r"^cameras must name 1 to 16 cameras, got 0$"),
        ({f"c{k}": (64, 64) for k in range(17)}, r"1 to 16 cameras, got 17"),
        ({"../front": (64, 64)}, r"must have names of a-z, 0-9 and _, got '\.\./front'"),
        (
            {"front": (8, 64)},
            r"^cameras\.front must be a height of 16 to 480 and a width of 16 to 640 pixels, got \[8, 64\]",
        ),
        ({"front": (64, 641)}, r"got \[64, 641\]"),
        ({"front": (481, 64)}, r"got \[481, 64\]"),
        ({"front": (-64, -64)}, r"got \[-64, -64\]"),
    ],
)
def test_cameras_that_cannot_be_are_refused(cameras, message):
    with pytest.raises(ValueError, match=message):
        checked_cameras(cameras, "cameras")


def test_other_cameras_than_declared_are_refused_with_both_sizes_and_the_next_step():
    declared = {"front": (96, 128), "wrist": (96, 96)}
    require_cameras({"wrist": (96, 96), "front": (96, 128)}, declared, "data/x")
    with pytest.raises(
        ValueError,
        match=r"^data/x must have images of the cameras of params.yaml, front 96 x 128, wrist 96 x 96, got front 64 x 64, "
        r"wrist 64 x 64: `dvc repro` makes them again",
    ):
        require_cameras({"front": (64, 64), "wrist": (64, 64)}, declared, "data/x")
    with pytest.raises(ValueError, match=r"got front 96 x 128: begin another"):
        require_cameras({"front": (96, 128)}, declared, "data/x", "begin another")


def test_a_camera_that_is_not_there_is_refused_with_those_that_are():
    require_known_cameras({"wrist": (64, 64)}, ("front", "wrist"), "the scene of cube_lift")
    with pytest.raises(
        ValueError, match=r"among those of the scene of cube_lift, front, wrist, got 'top': correct the sec"
    ):
        require_known_cameras({"top": (64, 64)}, ("front", "wrist"), "the scene of cube_lift")


def test_sizes_are_described_by_height_and_width():
    assert described({"wrist": (96, 96), "front": (96, 128)}) == "front 96 x 128, wrist 96 x 96"
