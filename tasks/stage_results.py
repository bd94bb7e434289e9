"""What a finished stage wrote, read and made a page for the Prefect UI; and the lineage of a retrained VLA.

Knows `ocrrl` by its command line and by the files that its stages write; where they lie is what dvc.yaml says.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tasks import data_results, evaluation_results, training_results
from tasks.child_process import environment
from tasks.graph import Stage
from tasks.lineage_tree import lineage_tree
from tasks.markdown import code, inline_code, paragraphs, picture
from tasks.results import Json, Results

EPISODE_FILES = Path(__file__).with_name("episode_files.py")
CHILD_TIMEOUT = 120.0  # seconds
FROM_START_TO_END = "From its start to its end, evenly spaced; a row for each camera or policy."


class NotThere(ValueError):
    """A file that the page is made from is missing or is not what the stage writes."""


def results_page(stage: Stage, workspace: Path) -> Results | None:
    """What `stage` has to show; None for a stage that shows nothing. What is missing is said on the page."""
    if stage.kind not in READERS:
        return None
    try:
        found = READERS[stage.kind](stage, workspace)
    except NotThere as missing:
        found = Results(f"nothing to show: {missing}", f"Nothing to show: {missing}.")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(f"its files are not as expected ({type(error).__name__}: {error})".split())
        found = Results(f"nothing to show: {reason}", f"Nothing to show: {reason}.")
    page = paragraphs(f"## {stage.title}", found.body, _key_frames(stage, workspace), _outputs(stage))
    return Results(found.headline, page)


def lineage_page(stage: Stage, workspace: Path) -> Results | None:
    """What the VLA that `stage` wrote was made from, as a drawing; None for other stages. RuntimeError where it fails."""
    if stage.kind not in ("retrain", "retrain_multitask", "publish"):
        return None
    path = stage.outputs[0]
    drawing = _child(["ocrrl", "lineage", path, "--format", "mermaid"], workspace).decode()
    return Results(
        f"{path}: what it was made from",
        paragraphs(
            f"## What `{path}` was made from",
            code(drawing, "mermaid"),
            "Boxes are data and models with their hash, arrows the stages that made one from the other. The same as text:",
            code(lineage_tree(drawing)),
            "Parameters, code and runs too, and whether every file is still the same, in a terminal:",
            code(f"ocrrl lineage {path}\nocrrl lineage {path} --verify"),
        ),
    )


def _record(stage: Stage, workspace: Path) -> Results:
    folder = workspace / stage.outputs[0]
    if not folder.is_dir():
        raise NotThere(f"{stage.outputs[0]} is not there")
    try:
        rows = json.loads(_child([sys.executable, "-I", str(EPISODE_FILES), "list", str(folder)], workspace))
    except RuntimeError as error:
        raise NotThere(str(error)) from error
    return data_results.recordings(rows)


def _ingest(stage: Stage, workspace: Path) -> Results:
    episodes = _json(workspace, Path(stage.outputs[0]) / "sidecar" / "episodes.json", missing=[])
    return data_results.ingested(_metrics(stage, workspace), episodes)


def _from_metrics(write: Callable[[Json], Results], stage: Stage, workspace: Path) -> Results:
    return write(_metrics(stage, workspace))


def _training_set(stage: Stage, workspace: Path) -> Results:
    sets = {Path(out).name: _json(workspace, Path(out) / "sidecar" / "episodes.json") for out in stage.outputs}
    return data_results.training_sets(sets)


def _training(stage: Stage, workspace: Path) -> Results:
    found = {Path(out).name: _json(workspace, Path(out) / "training.json") for out in stage.outputs}
    return training_results.finetuned(found)


def _train_residual(stage: Stage, workspace: Path) -> Results:
    folder = Path(stage.outputs[0])
    return training_results.learned(_json(workspace, folder / "curve.json"), _json(workspace, folder / "config.json"))


def _evaluate(stage: Stage, workspace: Path) -> Results:
    episodes = _json(workspace, Path(stage.outputs[0]) / "episodes.json", missing={})
    return evaluation_results.evaluated(_metrics(stage, workspace), episodes)


def _publish(stage: Stage, workspace: Path) -> Results:
    path = stage.outputs[0]
    files = [file for file in (workspace / path).rglob("*") if file.is_file()]
    if not files:
        raise NotThere(f"{path} is not there")
    size = sum(file.stat().st_size for file in files) / 1e6
    return Results(
        f"{path}: {size:.1f} MB in {len(files)} files",
        f"The retrained VLA is at `{workspace / path}`, {size:.1f} MB in {len(files)} files.",
    )


def _report(stage: Stage, workspace: Path) -> Results:
    folder = workspace / stage.outputs[0]
    page, tables = folder / "index.html", folder / "results.md"
    if not page.is_file() or not tables.is_file():
        raise NotThere(f"{stage.outputs[0]} has no index.html and results.md")
    body = paragraphs(
        "The page with figures and films, for a browser on the machine that holds it:",
        code(f"file://{page}"),
        re.sub(r"^#", "##", tables.read_text(), flags=re.MULTILINE),
    )
    return Results(f"{stage.outputs[0]}/index.html: tables, figures and films", body)


READERS: dict[str, Callable[[Stage, Path], Results]] = {
    "record": _record,
    "ingest": _ingest,
    "replay": partial(_from_metrics, data_results.replayed),
    "finetune": _training,
    "train_residual": _train_residual,
    "evaluate": _evaluate,
    "rollout": partial(_from_metrics, data_results.rolled_out),
    "rollout_base": partial(_from_metrics, data_results.rolled_out),
    "training_set": _training_set,
    "retrain": _training,
    "evaluate_retrained": partial(_from_metrics, evaluation_results.retrained),
    "report": _report,
    "replay_rollouts": partial(_from_metrics, data_results.replayed),
    "promote": partial(_from_metrics, evaluation_results.promoted),
    "retrain_multitask": _training,
    "evaluate_multitask": partial(_from_metrics, evaluation_results.retrained),
    "finetune_multitask": _training,
    "publish": _publish,
    "report_multitask": _report,
}
# Where a stage's pictures are: the first file or folder that is there, and what they are called.
PICTURES = {
    "record": ("*.h5", "The first recording"),
    "ingest": ("", "The first episode of the dataset"),
    "replay": ("", "The first replay, as the simulator draws it"),
    "replay_rollouts": ("", "The first replayed rollout, as the simulator draws it"),
    "rollout": ("*.h5", "The first rollout of base + residual"),
    "rollout_base": ("*.h5", "The first rollout of the base alone"),
    "evaluate": ("[!s]*.npz", "One held-out initial state, chosen to show a difference"),
}


def _key_frames(stage: Stage, workspace: Path) -> str | None:
    if stage.kind not in PICTURES:
        return None
    pattern, title = PICTURES[stage.kind]
    folder = workspace / stage.outputs[0]
    source = next(iter(sorted(folder.glob(pattern))), None) if pattern else folder
    if source is None or not source.exists():
        return None
    try:
        content = _child([sys.executable, "-I", str(EPISODE_FILES), "frames", str(source)], workspace)
    except RuntimeError as error:
        return f"No pictures: {error}"
    return paragraphs(f"### {title}", picture(content, "image/jpeg", title), FROM_START_TO_END)


def _outputs(stage: Stage) -> str:
    return "Written: " + ", ".join(inline_code(path) for path in stage.outputs)


def _metrics(stage: Stage, workspace: Path) -> Json:
    found = [path for path in stage.outputs if path.endswith(".json")]
    if not found:
        raise NotThere(f"dvc.yaml names no JSON file among the outputs of {stage.name}")
    return _json(workspace, Path(found[0]))


def _json(workspace: Path, path: Path, missing: Any = None) -> Any:
    """What `path` holds; `missing` where it is not there, or NotThere without such."""
    try:
        return json.loads((workspace / path).read_text())
    except (FileNotFoundError, NotADirectoryError):
        if missing is not None:
            return missing
        raise NotThere(f"{path} is not there") from None
    except ValueError as error:
        raise NotThere(f"{path} is not JSON ({error})") from None


def _child(command: list[str], workspace: Path) -> bytes:
    """What `command` prints; raises RuntimeError with the last line it said."""
    try:
        done = subprocess.run(
            command,
            cwd=workspace,
            env=environment({}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHILD_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(f"`{' '.join(Path(word).name for word in command[:2])}` failed: {said[-1][:300]}")
    return done.stdout
