"""Finds episodes in which two cameras are swapped, by comparison with the other episodes."""

from collections.abc import Mapping
from itertools import combinations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

SIDE = 8  # pixels of a look
_EVERY = 5  # images, of which one goes into the look
_FEWEST = 3  # episodes, of which most must agree
_FAR = 10.0  # levels of an episode from its own places, less is the same scene
_AS_NEAR = 0.8
"""So much nearer must an episode's images be to the other cameras' looks than to their own."""


class CameraPlaces:
    """What each camera shows in each episode, as a small mean image."""

    def __init__(self) -> None:
        self._looks: dict[str, dict[str, Float[np.ndarray, "s s 3"]]] = {}

    def add(self, origin: str, images: Mapping[str, UInt8[np.ndarray, "T H W 3"]]) -> None:
        """Remember the images of the episode `origin`."""
        self._looks[origin] = {camera: _look(frames) for camera, frames in images.items() if len(frames)}

    def swapped(self) -> list[str]:
        """A note for each episode whose two cameras look like each other's in most of the episodes."""
        if len(self._looks) < _FEWEST:
            return []
        cameras = sorted(set.intersection(*(set(looks) for looks in self._looks.values())))
        usual = {camera: np.median([looks[camera] for looks in self._looks.values()], axis=0) for camera in cameras}
        notes = []
        for origin, looks in self._looks.items():
            for one, other in combinations(cameras, 2):
                own = _apart(looks[one], usual[one]) + _apart(looks[other], usual[other])
                exchanged = _apart(looks[one], usual[other]) + _apart(looks[other], usual[one])
                if own > _FAR and exchanged < _AS_NEAR * own:
                    shown = f"images/{one} and images/{other} look like each other's in most episodes"
                    notes.append(f"{origin}: {shown} (swapped in this one?)")
        return notes


def _look(frames: np.ndarray) -> np.ndarray:
    small = [cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames[::_EVERY]]
    return np.mean(small, axis=0)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())
