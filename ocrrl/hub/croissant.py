"""Croissant metadata of a dataset (MLCommons Croissant 1.0), by mlcroissant: files, columns, episodes."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from ocrrl.hub.dataset_facts import DatasetFacts
from ocrrl.hub.licence import Licence

REPOSITORY = "repository"
"""The file object that every file is in: the hub's git repository."""
_FRAMES, _EPISODES = "frames", "episodes"
_PARQUET = "application/x-parquet"
_FORMATS = {".parquet": _PARQUET, ".mp4": "video/mp4", ".h5": "application/x-hdf5", ".hdf5": "application/x-hdf5"}
_NO_CHECKSUM = "https://github.com/mlcommons/croissant/issues/80"
"""What hubs write for the SHA-256 of a git repository, which has none."""


def croissant(
    facts: DatasetFacts, manifest: Mapping[str, str], name: str, description: str, licence: Licence, url: str
) -> dict[str, Any]:
    """The document (JSON-LD) of the dataset at `url`; `manifest` has the MD5 of its files.

    ModuleNotFoundError where mlcroissant is not installed, ValueError for what it finds wrong.
    """
    import mlcroissant as mlc

    logging.getLogger("absl").setLevel(logging.ERROR)  # recommends fields that nobody knows here (citation, date)
    repository = mlc.FileObject(
        id=REPOSITORY, name=REPOSITORY, content_url=url, encoding_formats=["git+https"], sha256=_NO_CHECKSUM
    )
    files: list[Any] = [
        mlc.FileObject(
            id=file,
            name=file,
            content_url=file,
            contained_in=[REPOSITORY],
            encoding_formats=[_FORMATS[suffix]],
            md5=md5,
        )
        for file, md5 in sorted(manifest.items())
        if (suffix := next((suffix for suffix in _FORMATS if file.lower().endswith(suffix)), ""))
    ]
    record_sets = [_episodes(mlc, facts)] if facts.episodes else []
    if facts.is_lerobot:
        includes = ["data/*/*.parquet"]
        files.append(
            mlc.FileSet(
                id="frame-files",
                name="frame-files",
                contained_in=[REPOSITORY],
                encoding_formats=[_PARQUET],
                includes=includes,
            )
        )
        record_sets.append(_frames(mlc, facts))
    try:
        metadata = mlc.Metadata(
            name=name,
            description=description,
            license=[licence.url],
            url=url,
            keywords=["robotics", *sorted(facts.cells)],
            data_collection=description,
            distribution=[repository, *files],
            record_sets=record_sets,
        )
    except mlc.ValidationError as error:
        raise ValueError(
            f"the Croissant metadata of {name} must be valid, got: {' '.join(str(error).split())}"
        ) from error
    return json.loads(json.dumps(metadata.to_json(), default=str))


def _frames(mlc: Any, facts: DatasetFacts) -> Any:
    types = {"float": mlc.DataType.FLOAT, "int": mlc.DataType.INTEGER, "bool": mlc.DataType.BOOL}
    fields = []
    for column, (dtype, shape) in facts.columns.items():
        kind = next((value for word, value in types.items() if dtype.startswith(word)), mlc.DataType.TEXT)
        array = {} if shape in ((), (1,)) else {"is_array": True, "array_shape": ",".join(map(str, shape))}
        source = mlc.Source(file_set="frame-files", extract=mlc.Extract(column=column))
        fields.append(mlc.Field(id=f"{_FRAMES}/{column}", name=column, data_types=[kind], source=source, **array))
    return mlc.RecordSet(id=_FRAMES, name=_FRAMES, description="One control step a row.", fields=fields)


def _episodes(mlc: Any, facts: DatasetFacts) -> Any:
    """Without operators: these are people."""
    kinds = {"number": mlc.DataType.INTEGER, "success": mlc.DataType.BOOL, "steps": mlc.DataType.INTEGER}
    names = ("number", "source", "kind", "cell", "success", "steps")
    rows = [
        {f"{_EPISODES}/{name}": value for name, value in zip(names, row, strict=True)}
        for row in ((k, e.source, e.kind, e.cell, e.success, e.steps) for k, e in enumerate(facts.episodes))
    ]
    fields = [
        mlc.Field(id=f"{_EPISODES}/{name}", name=name, data_types=[kinds.get(name, mlc.DataType.TEXT)])
        for name in names
    ]
    return mlc.RecordSet(id=_EPISODES, name=_EPISODES, key=f"{_EPISODES}/number", fields=fields, data=rows)
