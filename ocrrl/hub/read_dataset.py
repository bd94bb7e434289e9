"""Reads the facts of a dataset's folder: a LeRobotDataset v3, or episodes in files of our format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ocrrl.datasets.sidecar import FOLDER, read_sidecar
from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.episode_store import SUFFIXES, read_attributes
from ocrrl.episodes.hdf5_access import dataset_at, group_at, hdf5_faults, open_hdf5, shape_of
from ocrrl.hub.dataset_facts import HDF5, LEROBOT, DatasetFacts, EpisodeFact
from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.lerobot_keys import IMAGE_PREFIX

INFO = "meta/info.json"


def dataset_facts(folder: Path, names: list[str], kinds: Mapping[str, str]) -> DatasetFacts:
    """Of `folder`, whose files are `names`; `kinds` has demonstration, rollout or base_rollout by file of an episode.

    Raises ValueError for a folder that is neither, and naming the file for one that cannot be read.
    """
    if INFO in names:
        return _lerobot(folder)
    episodes = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
    if not episodes:
        raise ValueError(
            f"{folder} must hold {INFO} (a LeRobotDataset) or episodes ({', '.join(SUFFIXES)}), got neither"
        )
    return _hdf5(folder, sorted(episodes), kinds)


def _lerobot(folder: Path) -> DatasetFacts:
    info = read_json_object(folder / INFO)
    features: dict[str, Any] = info.get("features") or {}
    images = {key for key, feature in features.items() if feature.get("dtype") in ("video", "image")}
    listed = read_sidecar(folder) if (folder / FOLDER / "episodes.json").is_file() else []
    stats = read_json_object(folder / "meta/stats.json") if (folder / "meta/stats.json").is_file() else {}
    wanted = ("observation.state", "action")
    return DatasetFacts(
        format=f"{LEROBOT} {info.get('codebase_version')}",
        episodes=tuple(EpisodeFact(e.source, e.kind, e.operator, e.cell, e.success, e.seed, e.length) for e in listed),
        count=int(info.get("total_episodes", 0)),
        frames=int(info.get("total_frames", 0)),
        hz=float(info.get("fps", 0)),
        cameras={key.removeprefix(IMAGE_PREFIX): tuple(features[key]["shape"][:2]) for key in sorted(images)},
        columns={
            key: (str(feature.get("dtype")), tuple(feature.get("shape", ())))
            for key, feature in features.items()
            if key not in images
        },
        statistics={
            key: {name: list(stats[key][name]) for name in ("min", "max", "mean", "std")}
            for key in wanted
            if key in stats
        },
        names={key: names for key in wanted if isinstance(names := features.get(key, {}).get("names"), list)},
    )


def _hdf5(folder: Path, names: list[str], kinds: Mapping[str, str]) -> DatasetFacts:
    episodes, cameras, instructions, hz = [], {}, set(), 0.0
    for name in names:
        try:
            with open_hdf5(folder / name) as file:
                with hdf5_faults("attributes"):
                    attributes = read_attributes(file)
                images = group_at(file, "images")
                shapes = {camera: shape_of(dataset_at(images, camera), camera) for camera in map(str, images)}
                steps = shape_of(dataset_at(file, "action"), "action")[0]
        except EpisodeRejected as rejected:
            raise rejected.of_file(name) from rejected.__cause__
        kind = kinds.get(name, "demonstration")
        told = (attributes.operator, attributes.cell, attributes.success, attributes.seed)
        episodes.append(EpisodeFact(name, kind, *told, steps))
        cameras |= {camera: (shape[1], shape[2]) for camera, shape in shapes.items()}
        instructions.add(attributes.instruction)
        hz = attributes.control_hz
    frames = sum(episode.steps for episode in episodes)
    told = dict(sorted(cameras.items())), tuple(sorted(instructions))
    return DatasetFacts(HDF5, tuple(episodes), len(episodes), frames, hz, *told)
