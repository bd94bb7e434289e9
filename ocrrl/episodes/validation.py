"""Validates an episode file; a refusal names the file, the field, the requirement and the value.

The checks of the numbers are in `ocrrl.episodes.episode_checks`; here are those of the file itself, what it declares before
anything large is read.
"""

import json
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path

import h5py
import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements, check_episode, check_shapes
from ocrrl.episodes.episode_store import (
    JSON_ATTRIBUTES,
    OPTIONAL_ARRAYS,
    OPTIONAL_ATTRIBUTES,
    REQUIRED_ARRAYS,
    episode_in,
)
from ocrrl.episodes.hdf5_access import (
    attribute_value,
    check_declared,
    check_numbers,
    dataset_at,
    declared_bytes,
    frames_at,
    group_at,
    hdf5_faults,
    is_own,
    open_hdf5,
    shape_of,
    shown,
)
from ocrrl.episodes.image_fit import ImageFit
from ocrrl.episodes.motion_checks import check_motion
from ocrrl.episodes.source_episode import Reading
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.cameras import CAMERA_NAME
from ocrrl.interface.episode import FORMAT_VERSION, Episode, EpisodeAttributes

MAX_MEMBERS = 100
"""Arrays of a file, cameras of an episode."""
MAX_TEXT = 1000  # characters of an instruction, an operator, a cell
MAX_JSON = 1_000_000  # characters of a calibration
_SOUND = EpisodeRequirements()
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
    "object_names": (list, "a JSON list of names"),
    "format_version": (int, "an integer"),
    "plan": (str, "text"),
}


@dataclass(frozen=True)
class Glance:
    """What a file of our format declares of itself."""

    cell: str
    images: tuple[tuple[str, tuple[int, ...]], ...]
    """Camera and (H, W, 3), sorted."""
    size: int
    """Bytes of all its arrays."""


def read_valid_episode(path: Path, folder: Path, expected: EpisodeRequirements = _SOUND) -> Episode:
    """The episode in `path`, which lies in `folder`, or `EpisodeRejected`: `<file>: <field> must be <required>, got <got>`."""
    return read_own_recording(path, folder, expected).episode


def read_own_recording(path: Path, folder: Path, expected: EpisodeRequirements) -> Reading:
    """The episode in `path` with what was done to its images; raises as `read_valid_episode`."""
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    try:
        check_location(path, folder)
        with open_hdf5(path) as file:
            _checked_attributes(file)
            shapes = _checked_members(file, expected)
            images, notes = _images(file, shapes, expected)
            episode = episode_in(file, images, expected.max_bytes)
        check_episode(episode, expected)
        check_motion(episode)
    except EpisodeRejected as rejected:
        raise rejected.of_file(name) from rejected.__cause__
    return Reading(episode, notes, other_images=bool(notes))


def glance_at_recording(path: Path, folder: Path, expected: EpisodeRequirements) -> Glance:
    """What `path` declares; no array is read.

    Raises `EpisodeRejected` for a file that cannot be opened, whose declarations are wrong, or that cannot be accepted as far
    as its attributes but for the cell go.
    """
    check_location(path, folder)
    with open_hdf5(path) as file:
        attributes = _checked_attributes(file)
        task = expected.tabletop_task
        if (
            (task is not None and attributes["tabletop_task"] != task.slug)
            or (expected.success is not None and attributes["success"] != expected.success)
            or attributes["control_hz"] != CONTROL_HZ
        ):
            raise EpisodeRejected("attributes", "those of an episode that is asked for", "others")
        shapes = _checked_members(file, expected)
    size = 8 * sum(prod(shape) for name, shape in shapes.items() if not name.startswith("images/"))
    images = {name.removeprefix("images/"): shape[1:] for name, shape in shapes.items() if name.startswith("images/")}
    size += sum(shapes["action"][0] * prod(shape) for shape in images.values())
    return Glance(str(attributes["cell"]), tuple(sorted(images.items())), size)


def check_location(path: Path, folder: Path) -> None:
    """Raise `EpisodeRejected` for a path that leads out of `folder`, or is no regular file."""
    root = folder.resolve()
    try:
        inside = ".." not in path.parts and path.resolve().is_relative_to(root)
    except (OSError, RuntimeError) as error:  # a link that leads to itself
        raise EpisodeRejected("path", "a file", "a link that leads in a circle") from error
    if not inside:
        raise EpisodeRejected(
            "path", f"inside {folder.name}", f"{'a link to ' if path.is_symlink() else ''}a place outside it"
        )
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "nothing that can be read"
        raise EpisodeRejected(
            "path", "a file", "a pipe, socket or device" if path.exists() and kind[0] == "n" else kind
        )


def _checked_attributes(file: h5py.File) -> dict[str, object]:
    with hdf5_faults("format_version"):
        is_ours = "format_version" in file.attrs
    if not is_ours:
        raise EpisodeRejected("format_version", "there", f"nothing{_whose(file)}")
    version = _attribute(file, "format_version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT_VERSION:
        raise EpisodeRejected("format_version", f"at most {FORMAT_VERSION} (this software's)", shown(repr(version)))
    values: dict[str, object] = {}
    for name in (field.name for field in fields(EpisodeAttributes)):
        value = _attribute(file, name, required=name not in OPTIONAL_ATTRIBUTES)
        if value is None:
            continue
        kind, described = _ATTRIBUTE_KINDS[name]
        values[name] = _parsed(name, value) if name in JSON_ATTRIBUTES else value
        if not isinstance(values[name], kind) or (isinstance(values[name], bool) and kind is not bool):
            raise EpisodeRejected(name, described, shown(repr(value)))
        if isinstance(value, str) and name not in JSON_ATTRIBUTES:
            _check_text(name, value)
    names = values["object_names"]
    if isinstance(names, list) and not all(isinstance(item, str) for item in names):
        raise EpisodeRejected("object_names", _ATTRIBUTE_KINDS["object_names"][1], shown(repr(names)))
    return values


def _whose(file: h5py.File) -> str:
    """What a file that is not of our format is, as far as its groups tell."""
    if is_own(file, "data", h5py.Group):
        return " (robomimic's? then ingest.<task>.source_format: robomimic, in a folder of its own)"
    if is_own(file, "observations", h5py.Group):
        return " (ALOHA's or ACT's, which ingest does not read: make it a LeRobotDataset)"
    return ""


def _attribute(file: h5py.File, name: str, required: bool = True) -> object:
    """The attribute's value, None where it is absent and need not be there."""
    with hdf5_faults(name):
        if name not in file.attrs:
            if not required:
                return None
            raise EpisodeRejected(name, "there", "nothing")
        shape = file.attrs.get_id(name).shape
        if shape:
            raise EpisodeRejected(name, "one value", f"an array of shape {shape}")
        return attribute_value(file, name)


def _parsed(name: str, value: object) -> object:
    if isinstance(value, str) and len(value) > MAX_JSON:
        raise EpisodeRejected(name, f"at most {MAX_JSON} characters", f"{len(value)}")
    try:
        return json.loads(str(value))
    except RecursionError as error:
        raise EpisodeRejected(name, "JSON that is not nested without end", "brackets within brackets") from error
    except ValueError:  # then it is no dict or list, which the caller says
        return None


def _check_text(name: str, value: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise EpisodeRejected(name, "text in UTF-8", shown(repr(value)))
    if len(value) > MAX_TEXT or not value.isprintable():
        raise EpisodeRejected(name, f"at most {MAX_TEXT} printable characters", shown(repr(value)))


def _checked_members(file: h5py.File, expected: EpisodeRequirements) -> dict[str, tuple[int, ...]]:
    """The shape of each array by name; the required arrays and one group of cameras.

    The rows of every array are those of `action`. Other arrays of numbers and groups are passed over.
    """
    for name in REQUIRED_ARRAYS:
        dataset_at(file, name)
    cameras = _members(group_at(file, "images"), "images")
    ours = (*REQUIRED_ARRAYS, *OPTIONAL_ARRAYS)
    others = [name for name in _members(file, "arrays") if name != "images"]
    datasets = {name: dataset_at(file, name) for name in others if name in ours or not is_own(file, name, h5py.Group)}
    for name, dataset in datasets.items():
        check_numbers(dataset, shown(name))
    for camera in cameras:
        if not CAMERA_NAME.fullmatch(camera):
            raise EpisodeRejected("images", "cameras named in lower case letters, digits and _", shown(repr(camera)))
        datasets[f"images/{camera}"] = dataset = dataset_at(file, f"images/{camera}")
        check_numbers(dataset, f"images/{camera}")
        if dataset.dtype != np.uint8:
            raise EpisodeRejected(f"images/{camera}", "uint8", f"{dataset.dtype}")
    if not cameras:
        raise EpisodeRejected("images", "at least one camera", "none")
    _check_size(datasets, expected.max_bytes, expected.images)
    known = (*REQUIRED_ARRAYS, *OPTIONAL_ARRAYS, *(f"images/{camera}" for camera in sorted(cameras)))
    shapes = {name: shape_of(datasets[name], name) for name in known if name in datasets}
    check_shapes(shapes)
    return shapes


def _members(group: h5py.Group, what: str) -> list[str]:
    with hdf5_faults(what):
        count = len(group)
        if count <= MAX_MEMBERS:
            return [str(member) for member in group]
    raise EpisodeRejected(what, f"at most {MAX_MEMBERS}", f"{count}")


def _check_size(datasets: dict[str, h5py.Dataset], max_bytes: int, fit: ImageFit | None) -> None:
    """All arrays together, also those of no use to us, images at the size that they are brought to."""
    total = 0
    for name, dataset in datasets.items():
        camera = name.removeprefix("images/")
        if fit is not None and camera != name:
            shape, size = shape_of(dataset, name), fit.sizes.get(camera)
            total += 0 if size is None or not shape else shape[0] * size[0] * size[1] * 3
        else:
            check_declared(dataset, shown(name), max_bytes)
            total += declared_bytes(dataset, name)
    if total > max_bytes:
        raise EpisodeRejected("file", f"of at most {max_bytes / 1e9:g} GB (max_episode_gb)", f"{total / 1e9:.3g} GB")


def _images(
    file: h5py.File, shapes: dict[str, tuple[int, ...]], expected: EpisodeRequirements
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The images by camera, of the cameras and at the sizes that are asked for, and what was done to them."""
    recorded = {
        name.removeprefix("images/"): (shape[1], shape[2])
        for name, shape in shapes.items()
        if name.startswith("images/")
    }
    fit = expected.images
    cameras, notes = expected.cameras_among(recorded)
    images = {camera: frames_at(file, f"images/{camera}", expected.max_bytes, fit, camera) for camera in cameras}
    made = (fit.describe(camera, recorded[camera]) for camera in cameras) if fit is not None else ()
    return images, (*notes, *filter(None, made))
