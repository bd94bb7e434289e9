"""The tree of a VLA that was trained elsewhere goes on through the export to the dataset that was exported, as it was then."""

import json

import pytest

from ocrrl.lineage.lineage import lineage, lineage_text
from ocrrl.lineage.project import find_project
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from ocrrl.lineage.verify import verify

FOLDER = "data/imported_real/round0/cube_lift"


@pytest.fixture
def dataset(own) -> str:
    """The path of the real dataset of the toy project."""
    project, _ = find_project("data")
    return next(path for path in project.files.outs if path.startswith("data/dataset_real/"))


def add_imported(root, dataset: str, source_hash: str) -> None:
    (root / FOLDER).mkdir(parents=True)
    content = {
        "checkpoint": "/gpu/checkpoint",
        "kind": "served",
        "export": "/gpu/export",
        "export_hash": "e" * 32 + ".dir",
    }
    (root / FOLDER / "imported.json").write_text(json.dumps(content | {"source": dataset, "source_hash": source_hash}))
    value = path_hash(root / FOLDER, root, Ignored())
    (root / f"{FOLDER}.dvc").write_text(f"outs:\n- {{md5: {value}, hash: md5, path: cube_lift}}\n")


def test_the_tree_leads_to_the_demonstrations(own, dataset):
    project, _ = find_project("data")
    add_imported(own, dataset, project.files.outs[dataset][1].hash)
    found = lineage(FOLDER)
    kinds = [artifact.kind for artifact in found.tree.below(found.tree.top)]
    assert kinds[:3] == ["imported VLA", "exported dataset", "dataset"]
    text = lineage_text(found)
    assert "ocrrl import-vla /gpu/checkpoint --trained-on /gpu/export (not opened here: behind a policy server)" in text
    assert f"ocrrl export {dataset} --out /gpu/export" in text
    assert any(episode.file.startswith("data/episodes") for episode in found.episodes.files)
    assert [stage.address for stage in found.tree.stages_in_order()][-2:] == [
        "export /gpu/export",
        f"import-vla {FOLDER}",
    ]
    assert all(verdict.artifact.path != "/gpu/export" for verdict in verify(found.tree, found.project.contents))


def test_a_dataset_that_has_changed_since_is_said_to_be_an_earlier_one(own, dataset):
    add_imported(own, dataset, "0" * 32 + ".dir")
    found = lineage(FOLDER)
    exported_from = next(artifact for artifact in found.tree.artifacts.values() if artifact.path == dataset)
    assert exported_from.note.startswith("an earlier one: ")


def test_a_record_that_is_damaged_ends_the_tree(own, dataset):
    add_imported(own, dataset, "0" * 32 + ".dir")
    (own / FOLDER / "imported.json").write_text("{")
    value = path_hash(own / FOLDER, own, Ignored())
    (own / f"{FOLDER}.dvc").write_text(f"outs:\n- {{md5: {value}, hash: md5, path: cube_lift}}\n")
    found = lineage(FOLDER)
    assert len(found.tree.artifacts) == 1 and found.tree.top.note.startswith("added by")
