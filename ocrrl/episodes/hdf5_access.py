"""Opens foreign HDF5 files safely: complete files only, no external links, sizes checked before data is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import ceil, prod
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import UInt8

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.image_fit import ImageFit

BLOCK_BYTES = 64 * 10**6
"""Frames that are read at a time before they are brought to another size."""
LONGEST_SHOWN = 100
"""Characters of a file's own text that an error shows."""


@contextmanager
def hdf5_faults(field: str) -> Iterator[None]:
    """What h5py raises for damaged bytes, as an `EpisodeRejected` of `field`; only calls of h5py belong into the block."""
    try:
        yield
    except (EpisodeRejected, MemoryError):
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError) as error:
        message = error.args[0] if isinstance(error, LookupError) and error.args else error
        raise EpisodeRejected(field, "readable HDF5", shown(str(message))) from error


def shown(text: str) -> str:
    """Text that a file holds, as an error shows it: short and without control characters."""
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def open_hdf5(path: Path) -> h5py.File:
    """`path` open for reading; `EpisodeRejected` for an empty, foreign, truncated or unreadable file."""
    if not path.is_file():
        raise EpisodeRejected("file", "a file", "something else (a folder, a pipe, a device)")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise EpisodeRejected("file", "one that can be read", error.strerror or str(error)) from error
    if not first:
        raise EpisodeRejected("file", "an HDF5 file", "an empty file (0 bytes)")
    with hdf5_faults("file"):
        if not h5py.is_hdf5(path):
            raise EpisodeRejected("file", "an HDF5 file", "something else (no HDF5 signature)")
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError, LookupError, ValueError) as error:
        if "lock file" in str(error):
            raise EpisodeRejected(
                "file", "closed by the program that writes it", "a file that is being written"
            ) from error
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
    with hdf5_faults(path):
        if item.is_virtual or item.external:
            raise EpisodeRejected(path, "data in the file itself", "data in another file")
    return item


def shape_of(dataset: h5py.Dataset, name: str) -> tuple[int, ...]:
    """What `dataset` declares; `EpisodeRejected` for `name` where it declares nothing at all."""
    with hdf5_faults(name):
        shape = dataset.shape
    if shape is None:
        raise EpisodeRejected(name, "an array", "an empty dataspace")
    return tuple(int(size) for size in shape)


def declared_bytes(dataset: h5py.Dataset, name: str) -> int:
    """What reading all of `dataset` would take in memory, from its declaration alone."""
    shape = shape_of(dataset, name)
    with hdf5_faults(name):
        return prod(shape) * int(dataset.dtype.itemsize)


def check_declared(dataset: h5py.Dataset, name: str, max_bytes: int) -> None:
    """Raise `EpisodeRejected` for `name` where `dataset` declares more than `max_bytes`."""
    size = declared_bytes(dataset, name)
    if size > max_bytes:
        shape = " x ".join(str(length) for length in shape_of(dataset, name))
        limit = f"at most {max_bytes / 1e9:g} GB (max_episode_gb)"
        raise EpisodeRejected(name, limit, f"{size / 1e9:.3g} GB ({shape} {dataset.dtype} declared)")


def check_chunks(dataset: h5py.Dataset, name: str, max_bytes: int | None) -> None:
    """Raise `EpisodeRejected` for `name` unless each of the chunks of `dataset`, if any, is in the file, in a place of its own.

    A dataset in chunks may declare any size and hold nothing: HDF5 then makes up the rows from a fill value.
    """
    with hdf5_faults(name):
        chunks, dtype = dataset.chunks, dataset.dtype
    if chunks is None or 0 in shape_of(dataset, name):
        return
    chunk_bytes = prod(chunks) * dtype.itemsize
    if max_bytes is not None and chunk_bytes > max_bytes:
        limit = f"in chunks of at most {max_bytes / 1e9:g} GB (max_episode_gb)"
        raise EpisodeRejected(name, limit, f"{chunk_bytes / 1e9:.3g} GB")
    shape = shape_of(dataset, name)
    with hdf5_faults(name):
        count, needed = int(dataset.id.get_num_chunks()), prod(map(ceil, np.divide(shape, chunks)))
        if count < needed:
            raise EpisodeRejected(name, "written in full", f"{count} of {needed} chunks in the file")
        stored: list[h5py.h5d.StoreInfo] = []
        dataset.id.chunk_iter(stored.append)
    starts = {chunk.chunk_offset for chunk in stored}
    inside = all(
        offset[axis] < shape[axis] and offset[axis] % chunks[axis] == 0
        for offset in starts
        for axis in range(len(shape))
    )
    places = sorted((chunk.byte_offset, chunk.size) for chunk in stored)
    apart = all(here + size <= there for (here, size), (there, _) in pairwise(places))
    whole = all(chunk.size == chunk_bytes for chunk in stored if chunk.filter_mask)  # left as it was, so of full size
    if len(starts) != needed or not (inside and apart and whole):
        raise EpisodeRejected(name, "of chunks that are each there once", "a damaged index of chunks")


def rows_of(dataset: h5py.Dataset, name: str, start: int, stop: int) -> np.ndarray:
    """Rows of `dataset`, where it is in chunks from the first row of one; `EpisodeRejected` for `name` for unreadable data.

    A damaged index lists a chunk that reading does not find: then the rows are made up from the fill value.
    """
    try:
        with hdf5_faults(name):
            values = np.asarray(dataset[start:stop])
            if dataset.chunks is not None:
                for row in range(0, len(values), dataset.chunks[0]):
                    if (values[row : row + dataset.chunks[0]] == dataset.fillvalue).all():
                        dataset.id.read_direct_chunk((start + row, *(0 for _ in dataset.shape[1:])))
    except EpisodeRejected as rejected:
        raise EpisodeRejected(name, "readable", rejected.got) from rejected.__cause__
    return values


def array_at(group: h5py.Group, path: str, max_bytes: int | None = None) -> np.ndarray:
    """The numbers of the dataset at `path`, at most `max_bytes`.

    Raises `EpisodeRejected` also for other types, rows that nobody wrote and unreadable data.
    """
    dataset = dataset_at(group, path)
    check_numbers(dataset, path)
    if max_bytes is not None:
        check_declared(dataset, path, max_bytes)
    check_chunks(dataset, path, max_bytes)
    shape = shape_of(dataset, path)
    if shape:
        return rows_of(dataset, path, 0, shape[0])
    with hdf5_faults(path):
        return np.asarray(dataset[()])


def frames_at(
    group: h5py.Group, path: str, max_bytes: int | None = None, fit: ImageFit | None = None, camera: str = ""
) -> UInt8[np.ndarray, "T h w 3"]:
    """The images (T, H, W, 3) uint8 at `path`, brought to the size of `camera` in `fit` a block of frames at a time.

    `max_bytes` counts the images that are returned, and one block.
    """
    dataset = dataset_at(group, path)
    shape = shape_of(dataset, path)
    if fit is None or len(shape) != 4 or shape[1:3] == tuple(fit.sizes[camera]):
        return array_at(group, path, max_bytes)
    check_numbers(dataset, path)
    height, width = fit.sizes[camera]
    if max_bytes is not None and (needed := shape[0] * height * width * 3 + prod(shape[1:])) > max_bytes:
        raise EpisodeRejected(path, f"at most {max_bytes / 1e9:g} GB (max_episode_gb)", f"{needed / 1e9:.3g} GB")
    check_chunks(dataset, path, max_bytes)
    chunk = dataset.chunks or (1, *shape[1:])
    rows = max(chunk[0], BLOCK_BYTES // max(1, prod(shape[1:])), 1)
    rows -= rows % chunk[0]
    fitted = np.empty((shape[0], height, width, 3), np.uint8)
    for start in range(0, shape[0], rows):
        for row, image in enumerate(rows_of(dataset, path, start, start + rows), start=start):
            fitted[row] = fit.fit(camera, image)
    return fitted


def is_own(group: h5py.Group, name: str, kind: type[h5py.Group | h5py.Dataset]) -> bool:
    """Whether the member `name` is a group or a dataset, as `kind` says, of the file itself; a link is none."""
    with hdf5_faults(name):
        link = group.get(name, getlink=True)
        return isinstance(link, h5py.HardLink) and group.get(name, getclass=True) is kind


def attribute_value(file: h5py.File, name: str) -> object:
    """The attribute as Python has it: text also where it is written in bytes of UTF-8, as other languages do."""
    value = file.attrs[name]
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def check_numbers(dataset: h5py.Dataset, name: str) -> None:
    """Raise `EpisodeRejected` for `name` unless `dataset` is of integers or floats."""
    with hdf5_faults(name):
        dtype = dataset.dtype
    if dtype.kind not in "fiu":
        raise EpisodeRejected(name, "numbers", f"{dtype}")
    with hdf5_faults(name):  # one damaged byte makes other numbers of the same bits
        if h5py.h5t.py_create(dtype) != dataset.id.get_type():
            raise EpisodeRejected(name, "numbers as a machine holds them", "bits that are laid out in another way")


def _walk(group: h5py.Group, path: str) -> object:
    item: object = group
    parts = path.split("/")
    for depth, part in enumerate(parts, start=1):
        walked = "/".join(parts[:depth])
        with hdf5_faults(walked):
            if not isinstance(item, h5py.Group) or part not in item:
                raise EpisodeRejected(walked, "there", "nothing")
            if not isinstance(item.get(part, getlink=True), h5py.HardLink):
                raise EpisodeRejected(walked, "data in the file itself", "a link")
            item = item[part]
    return item
