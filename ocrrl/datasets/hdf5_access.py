"""HDF5 files that others made, opened with care: whole files only, and nothing in them that points elsewhere."""

from pathlib import Path

import h5py
import numpy as np

from ocrrl.datasets.episode_checks import EpisodeRejected


def open_hdf5(path: Path) -> h5py.File:
    """`path` open for reading; `EpisodeRejected` for an empty, foreign or truncated file."""
    if path.stat().st_size == 0:
        raise EpisodeRejected("file", "an HDF5 file", "an empty file (0 bytes)")
    if not h5py.is_hdf5(path):
        raise EpisodeRejected("file", "an HDF5 file", "something else (no HDF5 signature)")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise EpisodeRejected("file", "a complete HDF5 file", str(error)) from error


def group_at(group: h5py.Group, path: str) -> h5py.Group:
    """The group at `path`; `EpisodeRejected` where there is none, or a link."""
    item = _walk(group, path)
    if not isinstance(item, h5py.Group):
        raise EpisodeRejected(path, "a group", "a dataset")
    return item


def dataset_at(group: h5py.Group, path: str) -> h5py.Dataset:
    """The dataset at `path`; `EpisodeRejected` where there is none, a link, or data kept in another file."""
    item = _walk(group, path)
    if not isinstance(item, h5py.Dataset):
        raise EpisodeRejected(path, "a dataset", "a group")
    if item.is_virtual or item.external:
        raise EpisodeRejected(path, "data in the file itself", "data in another file")
    return item


def array_at(group: h5py.Group, path: str) -> np.ndarray:
    """The numbers of the dataset at `path`; `EpisodeRejected` also for other types and unreadable data."""
    dataset = dataset_at(group, path)
    if dataset.dtype.kind not in "fiu":
        raise EpisodeRejected(path, "numbers", f"{dataset.dtype}")
    try:
        return np.asarray(dataset[...])
    except OSError as error:
        raise EpisodeRejected(path, "readable", str(error)) from error


def _walk(group: h5py.Group, path: str) -> object:
    item: object = group
    parts = path.split("/")
    for depth, part in enumerate(parts, start=1):
        walked = "/".join(parts[:depth])
        if not isinstance(item, h5py.Group) or part not in item:
            raise EpisodeRejected(walked, "there", "nothing")
        if not isinstance(item.get(part, getlink=True), h5py.HardLink):
            raise EpisodeRejected(walked, "data in the file itself", "a link")
        item = item[part]
    return item
