"""No name of params.yaml is run by a shell: every `${...}` of a command in dvc.yaml, with DVC's own templates and shell."""

import copy
import os
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from dvc.exceptions import DvcException
from dvc.fs import LocalFileSystem
from dvc.parsing import DataResolver
from dvc.repo import Repo
from dvc.stage.exceptions import StageCmdFailedError
from dvc.stage.run import cmd_run

from ocrrl.cli import main
from ocrrl.commands.params import write
from ocrrl.params_graph import GRAPH_SECTIONS, PATHS, Recordings, graph_sections
from ocrrl.preset_params import resolve
from tests.pipeline_copy import ROOT, run

CHECK = "ocrrl check_names"
EPISODES = "data/episodes/cube_lift/recorded"
SECTIONS = {"tabletop_tasks": {"cube_lift": {"episodes": EPISODES}}}
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PAYLOADS = (
    "round0; touch ran #",
    "$(touch ran)",
    "`touch ran`",
    "'; touch ran; '",
    '"; touch ran; "',
    "round0\ntouch ran",
    "round0&&touch${IFS}ran",
    "|touch ran",
    ">ran",
    "../cube_lift",
    "--help",
    "",
    "Round0",
    "\u202eround0",
    "a" * 81,
)


def graph(rounds: int = 2) -> dict[str, Any]:
    return graph_sections({"cube_lift": Recordings(EPISODES)}, 1, rounds)


def commands_in(stage: dict[str, Any]) -> list[str]:
    return stage.get("do", stage)["cmd"]


def altered(value: Any, payload: Any, key: str = "") -> Iterator[Any]:
    """`value` over and over, each time with one more of its keys or names replaced by `payload`."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield {payload if other == name else other: inner for other, inner in value.items()}
            for changed in altered(item, payload, name):
                yield value | {name: changed}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for changed in altered(item, payload):
                yield [*value[:index], changed, *value[index + 1 :]]
    elif key not in PATHS:
        yield payload


def put(folder, graph: dict[str, Any], sections: dict[str, Any] = SECTIONS) -> None:
    for name, content in (("params.yaml", sections), ("graph.yaml", graph)):
        (folder / name).write_text(yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False))


def resolved(folder, graph: dict[str, Any], section: str = "") -> dict[str, list[str]]:
    """The commands of every stage that names `section` in a template, as DVC fills them in."""
    put(folder, graph)
    repo = SimpleNamespace(fs=LocalFileSystem(), config={})
    stages = {name: stage for name, stage in ONLY_COMMANDS["stages"].items() if f"${{{section}" in str(stage)}
    found = DataResolver(repo, str(folder), copy.deepcopy(ONLY_COMMANDS | {"stages": stages})).resolve()["stages"]
    return {name: stage["cmd"] for name, stage in found.items()}


def without_dependencies(pipeline: dict[str, Any]) -> dict[str, Any]:
    """`pipeline` with nothing but its stages' commands."""
    stages = copy.deepcopy(pipeline["stages"])
    for stage in stages.values():
        body = stage.get("do", stage)
        for name in set(body) - {"cmd", "matrix"}:
            del body[name]
    return {"vars": pipeline["vars"], "stages": stages}


ONLY_COMMANDS = without_dependencies(PIPELINE)


def test_the_check_comes_first_in_every_stage_and_holds_nothing_of_params_yaml():
    for name, stage in PIPELINE["stages"].items():
        check, command = commands_in(stage)
        assert check == CHECK, name
        assert command.startswith(f"ocrrl {name}"), name


def test_every_template_that_reaches_a_command_is_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    payload = PAYLOADS[0]
    reached, untouched = set(), resolved(tmp_path, graph())
    assert main(["check_names"]) == 0
    for section in set(GRAPH_SECTIONS) - set(PATHS):
        for changed in altered(graph()[section], payload):
            try:
                commands = resolved(tmp_path, graph() | {section: changed}, section + "}")
            except DvcException:  # it takes the stage's keys as they are, and finds one missing
                commands = {}
            hostile = {name for name, lines in commands.items() if payload in lines[-1]}
            reached |= {name.partition("@")[0] for name in hostile}
            assert all(lines[0] == CHECK for lines in commands.values())
            assert main(["check_names"]) == 1, changed
            said = capsys.readouterr().err
            assert f"graph.yaml: {section}" in said and repr(payload) in said and "Traceback" not in said
    assert untouched and reached == set(PIPELINE["stages"]), "each stage's command was reached by one of them"


def test_names_that_dvc_yaml_sets_cannot_be_replaced_from_params_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    every = {
        match for stage in PIPELINE["stages"].values() for match in re.findall(r"\$\{(.*?)\}", commands_in(stage)[1])
    }
    assert every == {"key", "round", "last_round", "item", "item.task", "item.round", "item.seed", "item.domain"}
    with pytest.raises(DvcException, match="cannot redefine 'round'"):
        resolved(tmp_path, graph() | {"round": PAYLOADS[0]})
    for name in ("key", "item"):  # a list in place of a mapping has no keys: `${key}` then is a section of that name
        hostile = graph() | {"demonstrations": [{"episodes": "x", "code": "y"}], name: PAYLOADS[0], "key": PAYLOADS[0]}
        commands = resolved(tmp_path, hostile)
        with pytest.raises(StageCmdFailedError, match=CHECK):
            run_shell(tmp_path, commands["record@0"])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("payload", [payload for payload in PAYLOADS if payload])
def test_the_shell_gets_nothing_of_a_name_that_is_none(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = resolved(tmp_path, graph() | {"rounds": ["round0", payload]})
    (stage,) = [name for name in commands if name.startswith("evaluate_multitask@") and name[19:] == payload]
    with pytest.raises(StageCmdFailedError, match=CHECK):
        run_shell(tmp_path, commands[stage])
    assert {path.name for path in tmp_path.iterdir()} == {"params.yaml", "graph.yaml"}


def test_without_the_check_the_payload_would_have_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = resolved(tmp_path, graph() | {"rounds": [PAYLOADS[0]]})
    line = commands[f"evaluate_multitask@{PAYLOADS[0]}"][1].replace("ocrrl evaluate_multitask", "echo")
    run_shell(tmp_path, [line])
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("seed", ["0; touch ran", -1, True, 0.5, None, [0], {"; touch ran #": 1}])
def test_a_seed_is_a_whole_number(seed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hostile = graph()
    hostile["residuals"]["cube_lift-0"]["seed"] = seed
    put(tmp_path, hostile)
    assert main(["check_names"]) == 1
    assert "graph.yaml: residuals.cube_lift-0.seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "rounds: &again [*again]\n",
        "rounds: [\n",
        "- round0\n",
        "rounds: [round0]\nrounds: ['; touch ran']\n",
        "rounds: [!!binary cm91bmQw]\n",
        "rounds: [2026-01-01]\n",
        "? [a, b]\n: 1\n",
        "rounds: " + "[" * 20_000 + "\n",
        "rounds: [!!int x]\n",
        "rounds: [!!timestamp 9999-99-99]\n",
        "3: 4\n",
    ],
)
@pytest.mark.parametrize("name", ["params.yaml", "graph.yaml"])
def test_a_file_that_is_no_set_of_names_is_refused_in_one_line(name, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, graph())
    (tmp_path / name).write_text(text)
    assert main(["check_names"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" not in said and said.startswith(f"ocrrl check_names: {name}")


def test_a_params_yaml_that_is_no_file_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check_names"]) == 0, "without one there are no names"
    (tmp_path / "params.yaml").symlink_to(tmp_path / "nowhere")
    assert main(["check_names"]) == 1
    (tmp_path / "params.yaml").unlink()
    (tmp_path / "params.yaml").mkdir()
    assert main(["check_names"]) == 1
    assert capsys.readouterr().err.count("must be a file that can be read") == 2


def test_many_aliases_are_refused_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = ["tasks: &a0 [round0]"] + [f"loops{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    for name in ("params.yaml", "graph.yaml"):
        put(tmp_path, graph())
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        assert main(["check_names"]) == 1
        assert "aliases must not write out to more than" in capsys.readouterr().err


def test_dvc_repro_runs_nothing_and_says_which_name(tmp_path):
    Repo.init(str(tmp_path), no_scm=True)
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    (tmp_path / "ocrrl").symlink_to(ROOT / "ocrrl")
    vla = tmp_path / "data/vla_retrained/round0/multitask"
    vla.mkdir(parents=True)
    (vla / "model").touch()
    hostile = "x; touch ran #/../round0"  # a path that DVC finds, and a command
    write(resolve("smoke", ["cube_lift"]), "smoke", tmp_path / "params.yaml")
    graph_file = tmp_path / "graph.yaml"
    graph_file.write_text(graph_file.read_text().replace("last_round: round0", f"last_round: '{hostile}'"))
    done = run(tmp_path, "dvc", "repro", "-s", "publish", check=False)
    assert "> ocrrl check_names" in done.stdout and "ocrrl publish" not in done.stdout, done.stderr
    assert done.returncode and "graph.yaml: last_round must be a name of 1 to 80" in done.stderr
    assert not list(tmp_path.rglob("ran"))


def run_shell(folder, commands: list[str]) -> None:
    """Run `commands` as DVC runs those of a stage, by its own code and a shell."""
    stage = SimpleNamespace(
        cmd=commands, wdir=str(folder), addressing="stage", repo=SimpleNamespace(root_dir=str(folder))
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(ROOT))
        patched.setenv("PATH", f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}")
        cmd_run(stage)
