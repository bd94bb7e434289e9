"""Is this file an episode? Every refusal names the file, the field, what was required and what was found.

The checks of the numbers are in `ocrrl.datasets.episode_checks`; here are those of the file itself.
"""

import json
import re
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from ocrrl.datasets.episode import FORMAT_VERSION, Episode, EpisodeAttributes
from ocrrl.datasets.episode_checks import EpisodeRejected, EpisodeRequirements, check_episode
from ocrrl.datasets.episode_store import JSON_ATTRIBUTES, REQUIRED_ARRAYS, read_episode
from ocrrl.datasets.hdf5_access import dataset_at, group_at, open_hdf5

CAMERA_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_ATTRIBUTE_KINDS = {
    "tabletop_task": (str, "text"),
    "instruction": (str, "text"),
    "operator": (str, "text"),
    "cell": (str, "text"),
    "success": (bool, "true or false"),
    "control_hz": ((int, float), "a number"),
    "seed": (int, "an integer"),
    "calibration": (dict, "a JSON object"),
    "versions": (dict, "a JSON object"),
    "object_names": (list, "a JSON list"),
    "format_version": (int, "an integer"),
}


def validate_episode_file(path: Path, folder: Path) -> None:
    """Raise `EpisodeRejected` unless `path`, which lies in `folder`, holds a sound episode."""
    read_valid_episode(path, folder, EpisodeRequirements())


def read_valid_episode(path: Path, folder: Path, expected: EpisodeRequirements) -> Episode:
    """The episode in `path`, or `EpisodeRejected`: `<file>: <field> must be <required>, got <got>`."""
    name = _name_in(path, folder)
    try:
        check_location(path, folder)
        with open_hdf5(path) as file:
            _check_attributes(file)
            _check_members(file)
        episode = read_episode(path)
        check_episode(episode, expected)
    except EpisodeRejected as rejected:
        raise rejected.of_file(name) from rejected.__cause__
    return episode


def check_location(path: Path, folder: Path) -> None:
    """Raise `EpisodeRejected` for a path that leads out of `folder`, or is no regular file."""
    root = folder.resolve()
    if ".." in path.parts or not path.resolve().is_relative_to(root):
        raise EpisodeRejected(
            "path", f"inside {folder.name}", f"{'a link to ' if path.is_symlink() else ''}a place outside it"
        )
    if not path.is_file():
        raise EpisodeRejected("path", "a file", "a folder" if path.is_dir() else "nothing that can be read")


def _name_in(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _check_attributes(file: h5py.File) -> None:
    if "format_version" not in file.attrs:
        raise EpisodeRejected("format_version", "there", "nothing")
    version = file.attrs["format_version"]
    if not isinstance(version, int | np.integer) or not 1 <= version <= FORMAT_VERSION:
        raise EpisodeRejected("format_version", f"at most {FORMAT_VERSION} (this software's)", repr(_plain(version)))
    for name in (field.name for field in fields(EpisodeAttributes)):
        if name not in file.attrs:
            if name == "seed":
                continue
            raise EpisodeRejected(name, "there", "nothing")
        kind, described = _ATTRIBUTE_KINDS[name]
        value = _plain(file.attrs[name])
        if name in JSON_ATTRIBUTES:
            try:
                value = json.loads(str(value))
            except ValueError:
                value = None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise EpisodeRejected(name, described, repr(_plain(file.attrs[name])))


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _check_members(file: h5py.File) -> None:
    """The required arrays, one group of cameras, and nothing else that is not a dataset of the file's own."""
    for name in REQUIRED_ARRAYS:
        dataset_at(file, name)
    cameras = group_at(file, "images")
    for name in file:
        if name != "images" and dataset_at(file, str(name)).dtype.kind not in "fiu":
            raise EpisodeRejected(str(name), "numbers", f"{dataset_at(file, str(name)).dtype}")
    for camera in cameras:
        if not CAMERA_NAME.fullmatch(str(camera)):
            raise EpisodeRejected("images", "cameras named in lower case letters, digits and _", repr(camera))
        if (dtype := dataset_at(file, f"images/{camera}").dtype) != np.uint8:
            raise EpisodeRejected(f"images/{camera}", "uint8", f"{dtype}")
