"""Every command that a page shows is one: its program, its arguments and the names in them are checked against their definitions."""

import re
import shlex
import shutil
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import _parser
from ocrrl.tabletop.registry import slugs
from tests.pipeline_copy import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_ELSEWHERE = {
    "lerobot-train": "tests/policies/test_lerobot_plugin.py",
    "lerobot-eval": "tests/front_door/lerobot_env/test_lerobot_env.py",
    "lerobot-record": "tests/robot/lerobot_robot/test_fr3_robot.py",
    "jupytext": "tests/front_door/test_notebook.py",
}
"""Programs of others whose arguments on our pages are ours, and the test that runs them or what they call."""
OTHERS = {
    *("apt-get", "cd", "cp", "export", "git", "mkdir", "read", "source", "ssh", "tail", "unset"),
    *("hf", "pip", "podman", "python3.12", "tensorboard", "trackio", "uv", "wandb"),
    "...",  # a step in words, or output that was left out
}
"""The system's own, and those that need a network."""
ERROR_LINE = re.compile(r"ocrrl [\w-]+: ")
OURS = {"ocrrl", "make", "dvc", "prefect", "python"}
TARGETS = set(re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split())
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
DEFINITIONS = "\n".join(path.read_text() for path in (ROOT / "flows").glob("*.py"))


def blocks(text: str) -> Iterator[list[str]]:
    """The lines of each block of code, indented or between fences; Python's own are run by tests/front_door/test_notebook.py."""
    indented: list[str] = []
    fenced: list[str] | None = None
    for line in [*text.splitlines(), "end"]:
        if line.startswith("```"):
            if fenced is None:
                fenced, language = [], line[3:]
            else:
                if language in ("", "none", "bash", "console"):
                    yield fenced
                fenced = None
        elif fenced is not None:
            fenced.append(line)
        elif line.startswith("    ") or (indented and not line):
            indented.append(line.strip())
        else:
            if any(indented):
                yield indented
            indented = []


def program(command: str) -> str:
    return command.split()[0].removeprefix(".venv/bin/") if command.split() else ""


def split(line: str) -> list[str]:
    """The commands of a line: without its comment and loop, parted at && and ;, without variables set before."""
    line = re.sub(r"\s+#.*| &$|for \w+ in [^;]+; do |; done", "", line.removeprefix("$ "))
    parted = (re.sub(r"^(?:[A-Z_]+=\S+ )+", "", part.strip()) for part in re.split(r" && |; | \|\| ", line))
    return [command.removeprefix(".venv/bin/") for command in parted if command]


def shown_commands(text: str) -> Iterator[str]:
    """Every command in blocks of code. A block whose lines begin with $ also holds output; any other is commands or none at all."""
    for block in blocks(text):
        lines = "\n".join(block).replace("\\\n", " ").split("\n")
        session = any(line.startswith("$ ") for line in lines)
        first = program((split(lines[0]) or lines)[0])
        if session or first in OURS | OTHERS | set(RUN_ELSEWHERE):
            for line in lines:
                if line and not ERROR_LINE.match(line) and (line.startswith("$ ") or not session):
                    yield from split(line)
        else:
            assert first.startswith("#") or not shutil.which(first), f"a block begins with {first}: which test runs it?"


def named_commands(text: str) -> Iterator[str]:
    """Commands in a line of text, between backticks; they may be parts of one."""
    for code in re.findall(rf"`((?:\.venv/bin/)?(?:{'|'.join(OURS)}) [^`]+)`", text):
        yield from (command for command in split(code) if program(command) in OURS)


def check(command: str, whole: bool) -> None:
    """AssertionError unless `command`, or the part of it that is named, would be understood."""
    name, *words = shlex.split(command)
    match name:
        case "ocrrl":
            assert words and _is_understood(words, whole), command
        case "make":
            targets = {word for word in words if "=" not in word and not word.startswith("-")}
            assert targets <= TARGETS, command
        case "dvc":
            _check_dvc(words, whole)
        case "prefect":
            _check_prefect(words)
        case "python":
            _check_module(words)
        case _ if name in RUN_ELSEWHERE:
            assert (ROOT / RUN_ELSEWHERE[name]).is_file(), command
        case _:
            assert name in OTHERS, f"{command}: which test runs it?"


def _is_understood(words: list[str], whole: bool) -> bool:
    parser = _parser(words[0])
    commands = next(action for action in parser._actions if action.dest == "command").choices
    assert words[0] in commands, f"ocrrl {words[0]}"
    if not whole:
        known = commands[words[0]].format_help() + "".join(_steps(commands[words[0]]))
        return all(re.search(rf"{re.escape(word.split('=')[0])}\b", known) for word in words if word.startswith("--"))
    with redirect_stderr(StringIO()) as refused:
        try:
            parser.parse_args(words)
        except SystemExit as ended:
            assert not ended.code, refused.getvalue()
    return True


def _steps(parser) -> Iterator[str]:
    for action in parser._actions:
        for step in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
            yield step.format_help()


@cache
def _dvc_parser() -> ArgumentParser:
    from dvc.cli.parser import get_main_parser

    return get_main_parser()


def _check_dvc(words: list[str], whole: bool) -> None:
    if whole:
        from dvc.cli import DvcParserError

        try:
            _dvc_parser().parse_args(words)
        except DvcParserError:
            raise AssertionError(f"dvc {' '.join(words)}") from None
    for word in words[1:]:
        named = words[0] == "repro" and word.islower() and not word.startswith("-")
        if named or re.fullmatch(r"[a-z_]+@[\w-]+", word):
            assert word.split("@")[0] in PIPELINE, f"dvc {' '.join(words)}"


def _check_prefect(words: list[str]) -> None:
    if words[:2] != ["deployment", "run"] or len(words) == 2:
        assert words[0] in ("gcl", "deployment", "server", "profile", "config", "work-pool"), words
        return
    flow, deployment = words[2].split("/")
    settings = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    defined = f"def {flow.replace('-', '_')}("
    assert f'name="{flow}"' in DEFINITIONS or defined in DEFINITIONS, words[2]
    names = {entry["name"] for entry in settings if entry["entrypoint"].endswith(f":{flow.replace('-', '_')}")}
    assert deployment in names | {task.replace("_", "-") for task in slugs()}, words[2]
    for parameter in (value.split("=")[0] for option, value in pairwise(words) if option == "-p"):
        assert re.search(rf"\b{parameter}:", DEFINITIONS), words


def _check_module(words: list[str]) -> None:
    if words[:2] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words if word.startswith("tests")), words
        return
    assert words[0] == "-m", words
    path = ROOT.joinpath(*words[1].split(".")).with_suffix(".py")
    source = path.read_text()
    for imported in re.findall(r"^from (benchmarks\.\w+) import", source, re.MULTILINE):
        source += ROOT.joinpath(*imported.split(".")).with_suffix(".py").read_text()
    for word in words[2:]:
        if word.startswith("--"):
            assert f'"{word.split("=")[0]}"' in source, f"{path.name} does not take {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_understood(page: Path):
    text = page.read_text()
    shown = list(shown_commands(text))
    for command in shown:
        check(command, whole=True)
    for command in named_commands(text):
        check(command, whole=False)


def test_commands_are_found_in_every_kind_of_block():
    text = """
    make demo     # the loop
    VARIABLE=1 .venv/bin/python -m benchmarks.faults && cd -

some text

    $ dvc status
    Data and pipelines are up to date.
"""
    assert list(shown_commands(text)) == ["make demo", "python -m benchmarks.faults", "cd -", "dvc status"]


@pytest.mark.parametrize(
    "command",
    [
        "ocrrl retrian cube_lift",
        "ocrrl finetune cube_lift",  # without its domain
        "ocrrl view FILE --speed 2",
        "make demos",
        "dvc repro reports@cube_lift",
        "dvc repro --twice report@cube_lift",
        "prefect deployment run self-improve/everything",
        "prefect deployment run rollout/full -p pace=5",
        "python -m benchmarks.wire_twin --minutes 20",
        "frobnicate data",
    ],
)
def test_what_is_none_is_refused(command):
    with pytest.raises(AssertionError):
        check(command, whole=True)
