"""Film strips of failure modes: the base's failure, its rescue by the residual, and a failure of base + residual of the same mode."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ocrrl import files
from ocrrl.interface import rotations
from ocrrl.report.strips import Clip, filmstrip
from ocrrl.report.values import cell_label
from ocrrl.rollouts.failure_modes import FailureMode
from ocrrl.rollouts.state_trace import StateRecorder
from ocrrl.worlds import make_environment

IMAGE = 480  # [pixel], width and height of what is rendered
CLOSE_UP = {"close_drawer": 170}  # [pixel], half of what is shown of it, about the first object
CLOSE_UP_OTHERS = 110
PER_SUCCESS = 2.0  # time that a strip shows, in lengths of its success: failures take longer to come
SMALLER, QUALITY = 0.75, 80  # of a report's strip, for a page of documentation

FEW = 1  # mended states of a task up to which another task shows the mode, if one has more

Found = Mapping[str, Sequence[Mapping[str, Any]]]
"""By tabletop task, the recorded units of base and base + residual."""
RunEpisode = Callable[[str, str, int, StateRecorder], tuple[bool, FailureMode | None]]
"""Runs the episode of a tabletop task, a variant and a seed before a watcher: whether it succeeds, else its first failure."""


class Filmed(StateRecorder):
    """Also keeps a close-up of the first object before each step of the one environment that it watches."""

    def __init__(self, slug: str, cell: str) -> None:
        self._world = make_environment(cell, slug, 1)
        super().__init__(self._world)
        self._half, self.frames = CLOSE_UP.get(slug, CLOSE_UP_OTHERS), list[np.ndarray]()

    def before_step(self, ids: np.ndarray, *seen: Any) -> None:
        super().before_step(ids, *seen)
        column, row = self._pixel(self._world.true_state().object_poses[0, 0, :3])
        image = self._world.image(ids, IMAGE, ("front",))["front"][0]
        self.frames.append(image[row - self._half : row + self._half, column - self._half : column + self._half])

    def _pixel(self, point: np.ndarray) -> tuple[int, int]:
        """Column and row of the front camera's image in whose middle `point` is, as near as the image's edge allows."""
        camera = self._world.model.camera("front")
        seen = rotations.rotate(rotations.conjugate(camera.quat), point - camera.pos)
        focal = IMAGE / 2 / np.tan(np.deg2rad(camera.fovy[0]) / 2)
        places = IMAGE / 2 + focal * seen[:2] * (1.0, -1.0) / -seen[2]
        column, row = np.clip(places.round().astype(int), self._half, IMAGE - self._half)
        return int(column), int(row)


def write_strips(found: Found, cell: str, folder: Path, run: RunEpisode) -> None:
    """Write `failure_<mode>.jpg` for each mode that was `found`, from a task that is not shown yet where there is one."""
    shown = Counter[str]()
    for mode in FailureMode:
        rescued = _rescued(found, mode)
        tasks = sorted(found, key=lambda slug: (rescued[slug][FEW:] == [], shown[slug]))
        rescue = next(_filmed(tasks, rescued, ("base", "residual"), (mode, None), cell, run), None)
        if rescue is None:
            print(f"{mode}: not mended in {cell}")
            continue
        slug, seed, (base, corrected) = rescue
        shown[slug] += 1
        clips = [Clip("base VLA", base, False), Clip("base + residual", corrected, True)]
        said = f"{mode}: {slug}, {cell_label(cell)}, initial state {seed}"
        tasks.sort(key=lambda other: other != slug)
        if failure := next(_filmed(tasks, _failed(found, mode), ("residual",), (mode,), cell, run), None):
            clips.append(Clip("other state:\nbase + residual", failure[2][0], False))
            said += f"; last row {failure[0]}, {failure[1]}"
        path = folder / f"failure_{mode.replace(' ', '_')}.jpg"
        files.write_bytes(path, _smaller(filmstrip(clips, until=round(PER_SUCCESS * len(corrected)))))
        print(f"{path}: {said}")


def _smaller(jpeg: bytes) -> bytes:
    image, content = Image.open(io.BytesIO(jpeg)), io.BytesIO()
    size = round(SMALLER * image.width), round(SMALLER * image.height)
    image.resize(size, Image.Resampling.LANCZOS).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def _rescued(found: Found, mode: FailureMode) -> dict[str, list[int]]:
    """By task, the initial states where the base fails so and base + residual succeeds."""
    return {
        slug: [
            s
            for s, f, solved in zip(base["seeds"], base["failures"], residual["success"], strict=True)
            if solved and f == mode
        ]
        for slug, (base, residual) in found.items()
    }


def _failed(found: Found, mode: FailureMode) -> dict[str, list[int]]:
    """By task, the initial states where base + residual fails so."""
    return {
        slug: [s for s, f in zip(residual["seeds"], residual["failures"], strict=True) if f == mode]
        for slug, (_, residual) in found.items()
    }


def _filmed(
    tasks: Sequence[str],
    states: Mapping[str, Sequence[int]],
    variants: Sequence[str],
    expected: Sequence[FailureMode | None],
    cell: str,
    run: RunEpisode,
) -> Iterator[tuple[str, int, list[np.ndarray]]]:
    """The episodes that end as `expected` also alone in their environment, where networks round otherwise than in a batch."""
    for slug, seed in [(task, state) for task in tasks for state in reversed(states[task])]:
        films = [Filmed(slug, cell) for _ in variants]
        ends = [run(slug, variant, seed, film) for variant, film in zip(variants, films, strict=True)]
        if ends == [(mode is None, mode) for mode in expected]:
            yield slug, seed, [np.stack(film.frames) for film in films]
