"""What may be registered as a VLA that another trainer made, and what is refused and why."""

import argparse
import json
import shutil

import pytest
import yaml

from ocrrl.commands import import_vla
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.imported_vla import (
    NAME,
    SERVED,
    note_served,
    publish_imported,
    read_imported,
    require_for,
)
from ocrrl.preset_params import resolve
from tests.datasets.export.exported import exported
from tests.episodes.toy_episodes import demonstrated
from tests.untrained_models import write_untrained_models


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A LeRobotDataset of two demonstrations."""
    root = tmp_path_factory.mktemp("datasets") / "real"
    named = [(f"episode_{k:06d}.h5", episode) for k, episode in enumerate(demonstrated([3, 4], image_size=16))]
    write_lerobot_dataset(named, root)
    return root


@pytest.fixture(scope="module")
def export(dataset, tmp_path_factory):
    return exported(dataset, tmp_path_factory.mktemp("exports") / "export")


@pytest.fixture
def lab(export, tmp_path, monkeypatch):
    """A folder to stand in with `export` and `checkpoint`, a VLA that never learned anything."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(export, tmp_path / "export")
    write_untrained_models(Layout("cube_lift"))
    Layout("cube_lift").vla("real").rename(tmp_path / "checkpoint")
    return tmp_path


def register(checkpoint="checkpoint", *words: str, task="cube_lift", domain="real", trained_on="export") -> None:
    parser = argparse.ArgumentParser()
    import_vla.add_arguments(parser)
    given = [checkpoint, "--task", task, "--domain", domain, "--trained-on", trained_on, *words]
    assert import_vla.run(parser.parse_args(given)) == 0


def test_a_lerobot_checkpoint_is_opened_and_copied_with_what_it_was_trained_on(lab, capsys):
    register()
    out = Layout("cube_lift").imported_vla("real")
    imported, origin = read_imported(out), json.loads((lab / "export/meta/ocrrl.json").read_text())
    assert imported.kind == "lerobot" and imported.export_hash == origin["content_hash"]
    assert (imported.source, imported.source_hash) == (origin["source"], origin["source_hash"])
    assert imported.episodes == ("episode_000000.h5", "episode_000001.h5")
    assert set(imported.checkpoint_files) == {p.name for p in out.iterdir()} - {NAME}
    said = capsys.readouterr().out
    assert (
        "dvc add data/imported_real/round0/cube_lift" in said
        and "real_vla: data/imported_real/round0/cube_lift" in said
    )
    with pytest.raises(FileExistsError, match=r"imported_real/round0/cube_lift must not exist yet"):
        register()


def test_finetune_publishes_it_and_trains_nothing(lab):
    register()
    out, folder = Layout("cube_lift").vla("real"), Layout("cube_lift").imported_vla("real")
    publish_imported(folder, out, lab / "work", {"type": "compact_vla"}, "cpu", None)
    record = json.loads((out / "training.json").read_text())
    assert record["episode_names"] == ["episode_000000.h5", "episode_000001.h5"] and record["steps"] == 0
    for path in (lab / "checkpoint").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(
        ValueError, match=r"type must be act, as the `policy` sections of params.yaml say, got 'compact_vla'"
    ):
        publish_imported(folder, out, lab / "work", {"type": "act"}, "cpu", None)
    require_for(read_imported(folder), folder, "cube_lift", "real")
    with pytest.raises(
        ValueError, match=r"tabletop_tasks.stack_cube.sim_vla must be a VLA that was imported for stack_cube, sim"
    ):
        require_for(read_imported(folder), folder, "stack_cube", "sim")


def test_a_checkpoint_that_cannot_be_opened_here_is_hashed_and_said_not_to_be_checked(lab, capsys):
    folder = lab / "gr00t"
    (folder / "experiment_cfg").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "gr00t_n1_5"}')
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"weights")
    register("gr00t")
    imported = read_imported(Layout("cube_lift").imported_vla("real"))
    assert imported.kind == SERVED and set(imported.checkpoint_files) == {
        "config.json",
        "model-00001-of-00002.safetensors",
    }
    assert "its weights cannot be opened here" in capsys.readouterr().out
    assert [path.name for path in Layout("cube_lift").imported_vla("real").iterdir()] == [NAME]
    published = lab / "published"
    published.mkdir()
    (published / "training.json").write_text('{"episode_names": [], "steps": 0}')
    note_served(Layout("cube_lift").imported_vla("real"), published)
    assert json.loads((published / "training.json").read_text())["episode_names"] == list(imported.episodes)


def test_an_address_is_registered_without_hashes(lab, capsys):
    register("gs://bucket/checkpoints/ocrrl/29999")
    imported = read_imported(Layout("cube_lift").imported_vla("real"))
    assert imported.kind == SERVED and imported.checkpoint_files == {}
    assert "no file of an address is hashed" in capsys.readouterr().out


def test_an_export_that_is_no_longer_what_was_exported_is_named(lab):
    (lab / "export/meta/steps_data_index.pkl").write_bytes(b"a trainer's own")
    info = lab / "export/meta/info.json"
    info.write_text(info.read_text() + " ")
    with pytest.raises(ValueError, match=r"export/meta/info.json must be as it was exported .*got another content;"):
        register()
    info.unlink()
    with pytest.raises(ValueError, match=r"info.json must be as it was exported .*got no such file"):
        register()
    shutil.rmtree(lab / "export")
    with pytest.raises(FileNotFoundError, match=r"export/meta/ocrrl.json must be a file, got nothing"):
        register()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"checkpoint": "nowhere"}, r"nowhere must be a checkpoint's folder, or an address"),
        ({"task": "stack_cube"}, r"--task must be one of cube_lift, as export holds, got stack_cube"),
        ({"task": "juggle"}, r"juggle"),
    ],
)
def test_what_cannot_be_registered_is_refused(lab, words, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        register(**words)
    assert not Layout("cube_lift").imported_vla("real").exists()


def test_later_rounds_are_pointed_to_the_server(lab):
    with pytest.raises(ValueError, match=r"--round must be round0.*policy.address.retrained"):
        register("checkpoint", "--round", "round1")


def test_the_domain_is_that_of_the_dataset(lab):
    path = lab / "export/meta/ocrrl.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"source": "data/dataset_sim/round0/cube_lift"}))
    with pytest.raises(
        ValueError, match=r"--domain must be sim, as export is an export of data/dataset_sim/.*, got real"
    ):
        register()


def test_a_lerobot_checkpoint_of_another_form_of_action_is_refused(lab, dataset):
    (lab / "form.yaml").write_text("form: libero\n")
    exported(dataset, lab / "other", "--form", "form.yaml")
    with pytest.raises(
        ValueError, match=r"checkpoint must answer with our own steps, got a checkpoint that was trained on other"
    ):
        register(trained_on="other")


def test_a_damaged_checkpoint_is_refused(lab):
    weights = next((lab / "checkpoint").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"safetensors"):
        register()
    assert not Layout("cube_lift").imported_vla("real").exists()


def test_a_damaged_record_is_named(lab):
    register()
    path = Layout("cube_lift").imported_vla("real") / NAME
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "kind": "onnx"}))
    with pytest.raises(ValueError, match=r"imported.json: kind must be one of lerobot, served, got 'onnx'"):
        read_imported(path.parent)
    path.write_text(json.dumps({**content, "format_version": 2}))
    with pytest.raises(ValueError, match=r"format_version must be 1, got 2"):
        read_imported(path.parent)


def test_params_name_an_imported_vla_per_domain_and_the_graph_follows():
    sections = resolve("smoke", ["cube_lift"], {"cube_lift": {"sim_vla": "data/imported_sim/round0/cube_lift"}})
    params = Params(yaml.safe_load(yaml.safe_dump(sections)))
    assert str(params.imported_vla("cube_lift", "sim")) == "data/imported_sim/round0/cube_lift"
    assert params.imported_vla("cube_lift", "real") is None
    from ocrrl.params_graph import graph_sections

    finetunes = graph_sections(params.tabletop_tasks, 1, 1)["finetunes"]
    assert finetunes["cube_lift-sim"]["vla"] == "data/imported_sim/round0/cube_lift"
    assert finetunes["cube_lift-real"] == {
        "task": "cube_lift",
        "domain": "real",
        "vla": "ocrrl/policies/imported_vla.py",
    }
    with pytest.raises(ValueError, match=r"sim_vla must be a path"):
        Params({**sections, "tabletop_tasks": {"cube_lift": {"episodes": "data/x", "sim_vla": " "}}})
