"""Film strips of failure modes: the base's failure, its rescue by the residual, and a failure of base + residual of the same mode."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl import files
from ocrrl.interface import rotations
from ocrrl.interface.cells import TWINS
from ocrrl.report.strips import Clip, filmstrip
from ocrrl.rollouts.failure_modes import FailureMode
from ocrrl.rollouts.state_trace import StateRecorder
from ocrrl.worlds import make_environment

IMAGE = 480  # [pixel], width and height of what is rendered
CLOSE_UP = {"close_drawer": 170}  # [pixel], half of what is shown of it, about the first object
CLOSE_UP_OTHERS = 110
AFTER_SUCCESS = 10  # control steps that the strip goes on for

RunEpisode = Callable[[str, str, int, StateRecorder], tuple[bool, FailureMode | None]]
"""Runs the episode of a tabletop task, a variant and a seed before a watcher: whether it succeeds, else its first failure."""


class Filmed(StateRecorder):
    """Also keeps a close-up of the first object before each step of the one environment that it watches."""

    def __init__(self, slug: str, cell: str) -> None:
        self._world = make_environment(cell, slug, 1)
        super().__init__(self._world)
        self._half, self.frames = CLOSE_UP.get(slug, CLOSE_UP_OTHERS), list[np.ndarray]()

    def begin(self, ids: np.ndarray, seeds: Sequence[int]) -> None:
        super().begin(ids, seeds)
        self._about = self._world.true_state().object_poses[0, 0, :3].copy()

    def before_step(self, ids: np.ndarray, *seen: Any) -> None:
        super().before_step(ids, *seen)
        thing = self._world.true_state().object_poses[0, 0, :3]
        column, row = self._pixel((self._about + thing) / 2)
        image = self._world.image(ids, IMAGE)["front"][0]
        self.frames.append(image[row - self._half : row + self._half, column - self._half : column + self._half])

    def _pixel(self, point: np.ndarray) -> tuple[int, int]:
        """Column and row of the front camera's image in whose middle `point` is, as near as the image's edge allows."""
        camera = self._world.model.camera("front")
        seen = rotations.rotate(rotations.conjugate(camera.quat), point - camera.pos)
        focal = IMAGE / 2 / np.tan(np.deg2rad(camera.fovy[0]) / 2)
        places = IMAGE / 2 + focal * seen[:2] * (1.0, -1.0) / -seen[2]
        column, row = np.clip(places.round().astype(int), self._half, IMAGE - self._half)
        return int(column), int(row)


def write_strips(found: Mapping[str, Sequence[Mapping[str, Any]]], cell: str, folder: Path, run: RunEpisode) -> None:
    """Write `failure_<mode>.jpg` for each mode that was `found`: by tabletop task, the units of base and base + residual."""
    for mode in FailureMode:
        rescue = next(_filmed(_rescues(found, mode), ("base", "residual"), (mode, None), cell, run), None)
        failure = next(_filmed(_failures(found, mode), ("residual",), (mode,), cell, run), None)
        if rescue is None:
            print(f"{mode}: not mended in {cell}")
            continue
        slug, seed, (base, corrected) = rescue
        where = f"{cell}, {'simulated' if cell in TWINS else 'simulator'}"
        clips = [Clip("base VLA", base, False), Clip("base + residual", corrected, True)]
        until = len(corrected) + AFTER_SUCCESS
        told = f"{mode}: {slug}, initial state {seed}, {where}"
        if failure is not None:
            clips.append(Clip("other state:\nbase + residual", failure[2][0], False))
            told += f"; last row {failure[0]}, initial state {failure[1]}"
        path = folder / f"failure_{mode.replace(' ', '_')}.jpg"
        files.write_bytes(path, filmstrip(clips, until))
        print(f"{path}: {told}")


def _rescues(found: Mapping[str, Sequence[Mapping[str, Any]]], mode: FailureMode) -> Iterator[tuple[str, int]]:
    for slug, (base, residual) in found.items():
        columns = zip(base["seeds"], base["failures"], residual["success"], strict=True)
        yield from ((slug, seed) for seed, failure, mended in columns if failure == mode and mended)


def _failures(found: Mapping[str, Sequence[Mapping[str, Any]]], mode: FailureMode) -> Iterator[tuple[str, int]]:
    for slug, (_, residual) in found.items():
        columns = zip(residual["seeds"], residual["failures"], strict=True)
        yield from ((slug, seed) for seed, failure in columns if failure == mode)


def _filmed(
    episodes: Iterator[tuple[str, int]],
    variants: Sequence[str],
    expected: Sequence[FailureMode | None],
    cell: str,
    run: RunEpisode,
) -> Iterator[tuple[str, int, list[np.ndarray]]]:
    """The episodes that end as `expected` also alone in their environment, where networks round otherwise than in a batch."""
    for slug, seed in episodes:
        films = [Filmed(slug, cell) for _ in variants]
        ends = [run(slug, variant, seed, film) for variant, film in zip(variants, films, strict=True)]
        if ends == [(mode is None, mode) for mode in expected]:
            yield slug, seed, [np.stack(film.frames) for film in films]
