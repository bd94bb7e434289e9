"""Checks an episode's images: a dead camera is refused, an unusual one is reported.

Legend: T control steps, H x W pixels. "Still" cameras are those that the user allows to show the same throughout.
"""

from collections.abc import Collection, Mapping
from itertools import combinations

import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.pixels import blurred

BLACK = 10
"""No colour of a black image is above it: what a sensor's noise and a video's compression leave of zero."""
WHITE = 245
"""No colour of a white image is below it."""
MOVED = 0.02  # [m] that the gripper must get away from its start before an image has to change
# Compression changes the mean of 5 x 5 pixels of a still scene by up to 11 levels, a hand of that size by 30 and more.
_SAME = 16
_MOSTLY = 0.9  # of the images of two cameras: two videos of one scene differ where either was compressed harder
_EVEN = 10  # levels between the darkest and the brightest pixel of an even colour


def check_images(
    images: Mapping[str, UInt8[np.ndarray, "T H W 3"]],
    gripper_pose: Float[np.ndarray, "T 7"],
    still_cameras: Collection[str] = (),
) -> tuple[str, ...]:
    """Notes on images that are odd; raises `EpisodeRejected` for a camera that is black, white or frozen throughout.

    Frozen: an image with something in it that stays the same while the gripper moves more than `MOVED`. Cameras of
    `still_cameras` are neither refused nor said. The bars with which an image was padded do not count.
    """
    moved = float(np.linalg.norm(gripper_pose[:, :3] - gripper_pose[:1, :3], axis=-1).max(initial=0.0))
    notes, even = [], set()
    for camera, frames in images.items():
        if camera in still_cameras or not frames.size:
            continue
        shown = _without_bars(frames)
        if shown.max() <= BLACK:
            raise _dead(camera, "more than black", f"black images {_times(frames)} (a covered or dead camera?)")
        if shown.min() >= WHITE:
            raise _dead(camera, "more than white", f"white images {_times(frames)} (overexposed, or depth?)")
        if _is_even(shown):
            even.add(camera)
            notes.append(f"images/{camera}: one even colour in every image (a camera that is not connected?)")
            continue
        if moved > MOVED and len(frames) > 1 and _never_changes(shown):
            raise _dead(camera, "changing while the arm moves", f"the same image {_times(frames)} (a frozen camera?)")
        if any(frame.max() <= BLACK for frame in shown):
            notes.append(f"images/{camera}: black images at some steps (a camera that drops out?)")
    for first, second in combinations(sorted(set(images) - even - set(still_cameras)), 2):
        if images[first].shape == images[second].shape and _alike(images[first], images[second]):
            notes.append(f"images/{first} and images/{second}: the same images (one camera mapped twice?)")
    return tuple(notes)


def _dead(camera: str, required: str, got: str) -> EpisodeRejected:
    return EpisodeRejected(f"images/{camera}", required, f"{got}; ingest.<task>.still_cameras: [{camera}] takes it")


def _times(frames: np.ndarray) -> str:
    return "once" if len(frames) == 1 else f"{len(frames)} times"


def _without_bars(frames: np.ndarray) -> np.ndarray:
    """`frames` without the rows and columns that are exactly black at every step; all of them where nothing is left."""
    brightest = frames.max(axis=0).max(axis=-1)
    rows, columns = np.flatnonzero(brightest.any(axis=1)), np.flatnonzero(brightest.any(axis=0))
    if not len(rows):
        return frames
    return frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _is_even(frames: np.ndarray) -> bool:
    return all(int(np.ptp(frame, axis=(0, 1)).max()) <= _EVEN for frame in frames)


def _never_changes(frames: np.ndarray) -> bool:
    first = blurred(frames[0])
    return all(_largest_change(first, blurred(frame)) <= _SAME for frame in frames[1:])


def _alike(left: np.ndarray, right: np.ndarray) -> bool:
    pairs = zip(left, right, strict=True)
    same = [_largest_change(blurred(one), blurred(other)) <= _SAME for one, other in pairs]
    return float(np.mean(same)) >= _MOSTLY


def _largest_change(one: np.ndarray, other: np.ndarray) -> int:
    return int((np.maximum(one, other) - np.minimum(one, other)).max())
