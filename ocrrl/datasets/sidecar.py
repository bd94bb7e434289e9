"""The sidecar of a LeRobotDataset: each episode's source, and privileged rows that no VLA may see.

`<dataset>/sidecar/episodes.json` lists the episodes in the dataset's order; `<dataset>/sidecar/object_poses.npz` holds,
for every frame of the dataset (F) in order, object poses (F, O, 7), confidence (F, O), base action (F, 7) and residual
(F, 7), NaN where an episode has none.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ocrrl import files
from ocrrl.config_builder import OPTIONAL, values_of
from ocrrl.interface.episode import Episode

FOLDER = "sidecar"
KINDS = ("demonstration", "rollout", "base_rollout")
WHOLE_CHUNK = 2**31 - 1
"""More actions than a chunk has."""


@dataclass(frozen=True)
class SidecarEpisode:
    """Where one episode of a dataset came from."""

    source: str
    """The name of the file it was read from."""
    kind: str
    """One of `KINDS`."""
    tabletop_task: str
    operator: str
    cell: str
    success: bool
    seed: int | None
    length: int
    has_object_poses: bool
    sha256: str | None = None
    """Of the source file, where there is one."""
    interventions: tuple[tuple[int, int], ...] = field(default=(), metadata=OPTIONAL)
    """The frames in which a person acted (`Episode.interventions`)."""
    intervention_weight: float = field(default=1.0, metadata=OPTIONAL)
    """How often such a frame is trained on, one of another episode being 1."""
    recoveries: tuple[tuple[int, int], ...] = field(default=(), metadata=OPTIONAL)
    """The frames in which base + residual acted after the base had begun alone (`Episode.recoveries`)."""
    recovery_weight: float = field(default=1.0, metadata=OPTIONAL)
    """How often such a frame is trained on."""
    label_steps: int = field(default=0, metadata=OPTIONAL)
    """Where the actions are labels (`Episode.label`), how many of a chunk's count, from its frame on; 0: they are no labels."""
    label_weight: float = field(default=1.0, metadata=OPTIONAL)
    """How often a frame with a label is trained on."""


@dataclass(frozen=True)
class Weights:
    """How often frames of each kind are trained on, one of a demonstration being 1; the section `training_set` of params.yaml."""

    intervention: float = 1.0
    recovery: float = 1.0
    label: float = 1.0
    label_steps: int = 4
    """Actions of a chunk that count, from a frame with a label on."""


def describe_source(
    source: str,
    episode: Episode,
    kind: str = "demonstration",
    sha256: str | None = None,
    weights: Weights | None = None,
) -> SidecarEpisode:
    """The sidecar's entry for `episode`, read from the file named `source`; a weight is written where the episode has such frames."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    attributes, weights, labelled = episode.attributes, weights or Weights(), episode.label is not None
    return SidecarEpisode(
        source=source,
        kind=kind,
        tabletop_task=attributes.tabletop_task,
        operator=attributes.operator,
        cell=attributes.cell,
        success=attributes.success,
        seed=attributes.seed,
        length=len(episode),
        has_object_poses=episode.object_poses is not None,
        sha256=sha256,
        interventions=(stepped_in := episode.interventions()),
        intervention_weight=weights.intervention if stepped_in else 1.0,
        recoveries=(recovered := episode.recoveries()),
        recovery_weight=weights.recovery if recovered else 1.0,
        label_steps=weights.label_steps if labelled else 0,
        label_weight=weights.label if labelled else 1.0,
    )


def write_sidecar(
    dataset: Path, episodes: Sequence[SidecarEpisode], privileged: Sequence[Mapping[str, np.ndarray]], objects: int
) -> None:
    """Write both files; `privileged` holds `privileged_rows` of each episode, `objects` is O."""
    files.write_json(dataset / FOLDER / "episodes.json", [values_of(episode) for episode in episodes])
    widths = {"object_poses": (objects, 7), "object_confidence": (objects,), "base_action": (7,), "residual": (7,)}
    content = io.BytesIO()
    np.savez(
        content,
        allow_pickle=False,
        **{
            name: np.concatenate(
                [
                    rows.get(name, np.full((episode.length, *width), np.nan, np.float32))
                    for episode, rows in zip(episodes, privileged, strict=True)
                ]
                or [np.zeros((0, *width), np.float32)]
            )
            for name, width in widths.items()
        },
    )
    files.write_bytes(dataset / FOLDER / "object_poses.npz", content.getvalue())


def privileged_rows(episode: Episode) -> dict[str, np.ndarray]:
    """The rows of `episode` that only the sidecar holds, float32; what the episode lacks is absent."""
    names = ("object_poses", "object_confidence", "base_action", "residual")
    rows = {name: getattr(episode, name) for name in names}
    return {name: value.astype(np.float32) for name, value in rows.items() if value is not None}


def read_sidecar(dataset: Path) -> list[SidecarEpisode]:
    """The episodes of `dataset` in its order.

    FileNotFoundError where it has no sidecar: a user's own LeRobotDataset.
    """
    entries = json.loads((dataset / FOLDER / "episodes.json").read_text())
    return [
        SidecarEpisode(
            **entry | {name: tuple(map(tuple, entry.get(name, ()))) for name in ("interventions", "recoveries")}
        )
        for entry in entries
    ]


def frame_weights(dataset: Path) -> Float[np.ndarray, " F"] | None:
    """How often each frame of `dataset` is trained on, relative to the others; None where all are alike.

    Of an episode that somebody stepped into, the frames in which they acted count by `intervention_weight` and the policy's own,
    which led there or followed, not at all (HG-DAgger, arXiv 1810.02890). Likewise the frames of base + residual where the base
    began alone, by `recovery_weight`. Frames with labels all count, by `label_weight`.
    """
    listed = read_sidecar(dataset) if (dataset / FOLDER).is_dir() else []
    if not any(episode.interventions or episode.recoveries or episode.label_steps for episode in listed):
        return None
    weights = []
    for episode in listed:
        some = bool(episode.interventions or episode.recoveries)
        weights.append(np.full(episode.length, 0.0 if some else episode.label_weight))
        for spans, weight in (
            (episode.recoveries, episode.recovery_weight),
            (episode.interventions, episode.intervention_weight),
        ):
            for first, stop in spans:
                weights[-1][first:stop] = weight
    return np.concatenate(weights)


def chunk_steps(dataset: Path) -> Int[np.ndarray, " F"] | None:
    """How many actions of a chunk are trained on from each frame of `dataset` on; None where no frame limits them.

    The later labels of a chunk are of states that base + residual, acting from its first frame on, would not have come into.
    """
    listed = read_sidecar(dataset) if (dataset / FOLDER).is_dir() else []
    if not any(episode.label_steps for episode in listed):
        return None
    return np.concatenate([np.full(episode.length, episode.label_steps or WHOLE_CHUNK) for episode in listed])
