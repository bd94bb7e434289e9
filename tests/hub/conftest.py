"""A small project with a real dataset, recordings and a model, as DVC would have recorded it, and a stand-in hub."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.episodes.episode_store import write_episode
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from tests.episodes.toy_episodes import demonstrated
from tests.hub.stand_in_hub import TOKEN, StandInHub

RECORDINGS, DATASET = "data/episodes/cube_lift/lab", "data/dataset_real/round0/cube_lift"
MODEL, METRICS = "data/vla_real/round0/cube_lift", "data/metrics/ingest/round0/cube_lift.json"


@pytest.fixture(scope="session")
def published_project(tmp_path_factory) -> Path:
    """Tests do not change it."""
    root = tmp_path_factory.mktemp("hub") / "project"
    names = [f"episode_{k:06d}.h5" for k in range(2)]
    episodes = list(zip(names, demonstrated([3, 4], image_size=32), strict=True))
    for name, episode in episodes:
        write_episode(root / RECORDINGS / name, episode)
    write_lerobot_dataset(episodes, root / DATASET)
    (root / METRICS).parent.mkdir(parents=True)
    (root / METRICS).write_text('{"accepted": [], "rejected": []}')
    (root / MODEL).mkdir(parents=True)
    (root / MODEL / "config.json").write_text(json.dumps({"type": "compact_vla"}))
    save_file({"weight": np.arange(6, dtype=np.float32)}, root / MODEL / "model.safetensors")
    stages = {
        "ingest@cube_lift": ("ocrrl ingest cube_lift", [RECORDINGS], [DATASET, METRICS]),
        "finetune@cube_lift-real": ("ocrrl finetune cube_lift --domain real", [DATASET], [MODEL]),
    }

    def entry(path: str) -> dict:
        return {"path": path, "hash": "md5", "md5": path_hash(root / path, root, Ignored())}

    locked, declared = {}, {}
    for address, (command, deps, outs) in stages.items():
        declared[address.partition("@")[0]] = {"matrix": {"k": ["x"]}, "cmd": command, "outs": []}
        locked[address] = {"cmd": command, "deps": [*map(entry, deps)], "outs": [*map(entry, outs)]}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {}}))
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": locked}))
    out = {"md5": entry(RECORDINGS)["md5"], "hash": "md5", "path": Path(RECORDINGS).name}
    (root / f"{RECORDINGS}.dvc").write_text(yaml.safe_dump({"outs": [out]}))
    return root


@pytest.fixture
def lab(published_project, tmp_path, monkeypatch) -> Path:
    """A copy of the project, which the test stands in and may change."""
    shutil.copytree(published_project, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    return tmp_path / "lab"


@pytest.fixture
def hub(monkeypatch):
    """A stand-in hub at 127.0.0.1 that huggingface_hub asks, with a valid token at hand."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with StandInHub() as running:
        template = running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        changed = {"ENDPOINT": running.endpoint, "HUGGINGFACE_CO_URL_TEMPLATE": template}
        for name, value in (changed | {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}).items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)  # between its tries
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        yield running
    assert os.environ["HF_HUB_OFFLINE"] == "1"
