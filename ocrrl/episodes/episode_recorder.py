"""Collects the rows of N parallel environments into episodes.

Legend: N environments, n of them selected by ids (n,).
"""

from collections.abc import Iterable

import numpy as np

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.episode import Episode, EpisodeAttributes
from ocrrl.interface.observations import Images, Observation


class EpisodeRecorder:
    """Keeps the rows of the episodes in progress, one list an environment."""

    def __init__(self, num_envs: int) -> None:
        self._rows: list[list[dict[str, np.ndarray]]] = [[] for _ in range(num_envs)]
        self._images: list[list[dict[str, np.ndarray]]] = [[] for _ in range(num_envs)]

    def begin(self, ids: Iterable[int]) -> None:
        """Forget what was recorded in the environments `ids`: new episodes begin there."""
        for env in ids:
            self._rows[env], self._images[env] = [], []

    def append(
        self,
        ids: Iterable[int],
        images: Images,
        observation: Observation,
        action: np.ndarray,
        base_action: np.ndarray | None = None,
        residual: np.ndarray | None = None,
        intervention: np.ndarray | None = None,
    ) -> None:
        """Add one control step of the environments `ids`.

        `images` and `observation` hold those n, as they were before `action` (n, 7); a rollout adds `base_action` and
        `residual` (n, 7) and, where a person may step in, whether one did (n,).
        """
        arrays = observation.arrays() | {"action": action}
        arrays |= {} if base_action is None else {"base_action": base_action}
        arrays |= {} if residual is None else {"residual": residual}
        arrays |= {} if intervention is None else {"intervention": intervention}
        for row, env in enumerate(ids):
            self._rows[env].append({name: np.array(rows[row], np.float64) for name, rows in arrays.items()})
            self._images[env].append({camera: np.array(frames[row]) for camera, frames in images.items()})

    def length(self, env: int) -> int:
        """Control steps recorded so far in environment `env`."""
        return len(self._rows[env])

    def finish(self, env: int, attributes: EpisodeAttributes) -> Episode:
        """The episode of environment `env`, which is forgotten here.

        Raises ValueError if nothing was recorded.
        """
        rows, images = self._rows[env], self._images[env]
        if not rows:
            raise ValueError(f"environment {env} must hold at least one recorded step, got none")
        self.begin([env])
        if not any(row.get("intervention") for row in rows):  # an episode in which nobody stepped in says nothing of it
            for row in rows:
                row.pop("intervention", None)
        return Episode(
            attributes=attributes,
            images={camera: np.stack([frame[camera] for frame in images]) for camera in images[0]},
            timestamps=np.arange(len(rows)) / CONTROL_HZ,
            **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
        )
