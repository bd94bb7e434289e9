"""Builds a toy project with DVC itself, and a git tag for each thing that may change: `python -m tests.lineage.toy_history DIR`.

It runs as one process of its own, since importing DVC takes seconds and the tests check that lineage does without.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from dvc.repo import Repo

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAB = "data/episodes/cube_lift/lab"
RESIDUAL = "train_residual@cube_lift-0"
PARAMS = {
    "tabletop_tasks": {"cube_lift": {"episodes": LAB}},
    "finetune": {"shared": {"steps": 400, "policy": {"type": "toy"}}, "cube_lift": {}},
    "train_residual": {"shared": {"steps": 64000}, "cube_lift": {}},
}
NETWORK = "def describe(data, steps):\n    return f'{WIDTH} {data} {steps}'\n\n\nWIDTH = 256\n"
EPISODES = {0: "lifts", 1: "lifts too", 2: "slips", 3: "bad"}


def build(project: Path) -> None:
    os.chdir(project)
    git("init", "--quiet")
    repo = Repo.init()
    with repo.config.edit() as config:
        config["core"] |= {"analytics": False, "autostage": False}
    for name in ("library", "bin"):
        Path("code", name).mkdir(parents=True)
    shutil.copy(HERE / "toy_pipeline.yaml", "dvc.yaml")
    shutil.copy(HERE / "toy_stages.py", "code/stages.py")
    Path("code/library/network.py").write_text(NETWORK)
    Path("code/library/__init__.py").write_text("")
    Path("code/bin/ocrrl").write_text(f'#!/bin/sh\nexec {sys.executable} code/stages.py "$@"\n')
    Path("code/bin/ocrrl").chmod(0o755)
    shutil.copy(ROOT / ".dvcignore", ".dvcignore")
    lines = ["/data/**", "!/data/**/", "!/data/**/*.dvc", "!/data/runs.jsonl", "__pycache__", ".dvc/tmp", ".dvc/cache"]
    Path(".gitignore").write_text("\n".join(lines))
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    Path(LAB).mkdir(parents=True)
    for number, text in EPISODES.items():
        Path(LAB, f"episode_{number:06d}.h5").write_text(text)
    add(LAB)
    commit("code alone")
    os.environ["OCRRL_FLOW_RUN_NAME"], os.environ["OCRRL_DEPLOYMENT"] = "merry-otter", "self-improve/full"
    reproduce("first", "publish")
    del os.environ["OCRRL_FLOW_RUN_NAME"], os.environ["OCRRL_DEPLOYMENT"]

    Path(LAB, "episode_000001.h5").write_text("lifts better")
    add(LAB)
    reproduce("demonstration", "publish")

    changed = PARAMS | {"finetune": PARAMS["finetune"] | {"cube_lift": {"steps": 500}}}
    Path("params.yaml").write_text(yaml.safe_dump(changed))
    reproduce("parameter", RESIDUAL)

    Path("code/library/network.py").write_text(NETWORK.replace("256", "512"))
    commit("wider")
    reproduce("code", RESIDUAL)

    os.environ["TOY_NOISE"] = " other bytes"
    with Repo() as repo:
        repo.reproduce([RESIDUAL], single_item=True, force=True)
    del os.environ["TOY_NOISE"]
    reproduce("noise", "publish", "evaluate_retrained@cube_lift")


def reproduce(tag: str, *targets: str) -> None:
    with Repo() as repo:
        repo.reproduce(list(targets))
    commit(tag)
    git("tag", tag)


def add(path: str) -> None:
    with Repo() as repo:
        repo.add([path])


def commit(message: str) -> None:
    git("add", "--all")
    git("-c", "user.name=toy", "-c", "user.email=toy@toy", "commit", "--quiet", "--message", message)


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True)


def hashes_by_dvc(folder: Path) -> dict[str, str]:
    """DVC's hash of folders that are hard to get right, by name; they lie in `folder` afterwards."""
    folder.mkdir()
    os.chdir(folder)
    Repo.init(no_scm=True)
    (folder / ".dvcignore").write_text("__pycache__\n*.pyc\n/plain/skipped/\n")
    files = {
        "plain/b.txt": b"b\r\n",
        "plain/a.txt": b"",
        "plain/sub/z.bin": bytes(range(256)) * 9000,
        "plain/sub-a/z": b"z",
        "plain/skipped/x": b"x",
        "plain/__pycache__/m.cpython-312.pyc": b"compiled",
        "unicode/épisode \N{GREEK SMALL LETTER MU}.h5": b"1",
        "unicode/\N{CJK UNIFIED IDEOGRAPH-4E00}/\N{GRINNING FACE}": b"2",
        'unicode/with "quotes" and \\': b"3",
        "unicode/Z": b"4",
        "unicode/a": b"5",
        "single.bin": b"one file",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "empty").mkdir()
    names = ["plain", "unicode", "single.bin", "empty"]
    with Repo() as repo:
        stages = repo.add(names)
    return {stage.outs[0].def_path: stage.outs[0].hash_info.value for stage in stages}


def stages_by_dvc(folder: Path) -> dict[str, dict]:
    """The stages of the project in `folder` as DVC resolves them, by address."""
    os.chdir(folder)
    with Repo() as repo:
        return {
            stage.addressing: {
                "command": stage.cmd if isinstance(stage.cmd, str) else stage.cmd[-1],
                "deps": sorted(
                    {dep.def_path for dep in stage.deps if dep.def_path not in ("params.yaml", "graph.yaml")}
                ),
                "outs": sorted(out.def_path for out in stage.outs),
            }
            for stage in repo.index.stages
            if not stage.is_data_source
        }


def main(folder: Path) -> None:
    environment = Path(folder / "project/code/bin")
    os.environ["PATH"] = f"{environment}{os.pathsep}{os.environ['PATH']}"
    (folder / "project").mkdir(parents=True)
    build(folder / "project")
    hashes = hashes_by_dvc(folder / "hashes")
    ours = folder / "ours"
    ours.mkdir()
    os.chdir(ours)
    Repo.init(no_scm=True)
    for name in ("dvc.yaml", "params.yaml", "graph.yaml"):
        shutil.copy(ROOT / name, ours)
    told = {"hashes": hashes, "toy": stages_by_dvc(folder / "project"), "ours": stages_by_dvc(ours)}
    (folder / "told_by_dvc.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
