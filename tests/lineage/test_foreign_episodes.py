"""Recordings of another format: the converted episodes name the place that each came from."""

import json

import pytest

from ocrrl.lineage.episodes import episodes_of
from ocrrl.lineage.graph import build_tree
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.dvc_files import DvcFile, DvcFiles, LockedStage, TrackedPath
from ocrrl.lineage.reading.hashes import bytes_md5, manifest_bytes, manifest_hash

LAB, NORMALISED = "data/episodes/cube_lift/lab", "data/normalised/round0/cube_lift"
DATASET, MODEL = "data/dataset_real/round0/cube_lift", "data/vla_real/round0/cube_lift"


@pytest.fixture
def put(tmp_path):
    def put(path, content):
        """Track `content`, bytes of a file or a mapping of a folder's files, at `path`; it is in the cache alone."""
        if isinstance(content, dict):
            manifest = {name: put(f"{path}/{name}", inside).hash for name, inside in content.items()}
            value, content = manifest_hash(manifest), manifest_bytes(manifest)
            files = len(manifest)
        else:
            value, files = bytes_md5(content), None
        cached = tmp_path / ".dvc/cache/files/md5" / value[:2] / value[2:]
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(content)
        return TrackedPath(path, value, len(content), files)

    return put


def episodes(put, tmp_path, sidecar, accepted, rejected):
    lab = put(LAB, {"monday.hdf5": b"many", "tuesday.hdf5": b"more"})
    report = {"source_format": "robomimic", "accepted": accepted, "rejected": rejected}
    normalised = {entry["source"]: entry["source"].encode() for entry in accepted}
    outs = (
        put(DATASET, {"sidecar/episodes.json": json.dumps(sidecar).encode()}),
        put(NORMALISED, normalised),
        put("data/metrics/ingest/round0/cube_lift.json", json.dumps(report).encode()),
    )
    model = put(MODEL, {"model.safetensors": b"weights"})
    stages = {
        "ingest@cube_lift": LockedStage("ingest@cube_lift", "ocrrl ingest cube_lift", (lab,), {}, outs),
        "finetune@cube_lift-real": LockedStage("finetune@cube_lift-real", "ocrrl finetune", outs[:1], {}, (model,)),
    }
    files = DvcFiles(True, stages, (DvcFile(f"{LAB}.dvc", (lab,), None),))
    return episodes_of(build_tree(files, [], model, Contents(tmp_path)), Contents(tmp_path))


def listed(source):
    return {
        "source": source,
        "kind": "demonstration",
        "operator": "anna",
        "cell": "my_fr3",
        "success": True,
        "sha256": "1",
    }


def test_a_converted_episode_names_its_recording_and_a_refused_one_is_listed(put, tmp_path):
    found = episodes(
        put,
        tmp_path,
        [listed("monday-demo_0.h5")],
        [{"source": "monday-demo_0.h5", "origin": "monday.hdf5:demo_0"}],
        [{"source": "tuesday.hdf5:demo_4", "reason": "success must be true"}],
    )
    used, refused = (next(e for e in found.files if e.status == status) for status in ("used", "rejected"))
    assert (used.file, used.origin) == (f"{NORMALISED}/monday-demo_0.h5", f"{LAB}/monday.hdf5:demo_0")
    assert used.hash == bytes_md5(b"monday-demo_0.h5") and used.origin_hash == bytes_md5(b"many")
    assert used.models == (MODEL,) and used.datasets == (DATASET,) and used.cell == "my_fr3"
    assert (refused.file, refused.hash) == (f"{LAB}/tuesday.hdf5:demo_4", bytes_md5(b"more"))
    assert len(found.files) == 2 and found.unknown == ()


def test_an_episode_that_no_folder_holds_is_still_named(put, tmp_path):
    found = episodes(put, tmp_path, [listed("lost.h5")], [], [])
    assert [(episode.file, episode.hash, episode.status) for episode in found.files] == [("lost.h5", None, "used")]
