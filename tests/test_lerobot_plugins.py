"""The wheels of plugins/: LeRobot finds what they register by their names alone."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from tests.pipeline_copy import ROOT
from tests.untrained_models import write_untrained_models

PLUGINS = sorted(ROOT.glob("plugins/lerobot_*"))
STARTED_BY_NAME = """
import sys
from lerobot.configs import PreTrainedConfig
from lerobot.envs import EnvConfig
from lerobot.robots import RobotConfig
from lerobot.teleoperators import TeleoperatorConfig
from lerobot.scripts.lerobot_eval import main

known = lambda: [
    name in choices.get_known_choices()
    for choices, name in (
        (EnvConfig, "ocrrl"),
        (PreTrainedConfig, "compact_vla"),
        (RobotConfig, "fr3"),
        (TeleoperatorConfig, "ocrrl_device"),
    )
]
assert not any(known()), known()
main()
assert all(known()), known()
"""


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_has_the_name_that_lerobot_looks_for_and_the_librarys_version(folder):
    library, plugin = (tomllib.loads((path / "pyproject.toml").read_text())["project"] for path in (ROOT, folder))
    assert plugin["name"] == folder.name and (folder / folder.name / "__init__.py").is_file()
    assert plugin["version"] == library["version"] and plugin["requires-python"] == library["requires-python"]
    assert any(needed.startswith("ocrrl[") for needed in plugin["dependencies"])


@pytest.mark.slow
def test_a_stock_lerobot_eval_finds_environments_policy_and_robot_by_name(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    for folder in PLUGINS:
        shutil.copytree(folder, tmp_path / folder.name)  # setuptools leaves a build folder behind
        build = [
            "uv",
            "build",
            "--wheel",
            "--offline",
            "--no-build-isolation",
            "--quiet",
            "--out-dir",
            tmp_path / "dist",
        ]
        subprocess.run([*build, tmp_path / folder.name], check=True)
    for wheel in (tmp_path / "dist").glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(site)

    monkeypatch.chdir(tmp_path)
    write_untrained_models(Layout("cube_lift"))
    arguments = [
        f"--policy.path={Layout('cube_lift').vla('real')}",
        "--policy.device=cpu",
        "--env.type=ocrrl",
        "--env.task=cube_lift",
        "--eval.n_episodes=2",
        "--eval.batch_size=1",
        f"--seed={initial_state_seeds('validation', 1)[0]}",
        "--output_dir=out",
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}
    command = [sys.executable, "-c", STARTED_BY_NAME, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(Path("out/eval_info.json").read_text())["per_task"][0]["metrics"]
    assert measured["successes"] == [False, False] and len(measured["video_paths"]) == 2
