"""The stages of a flow and their order, read from dvc.yaml and selected by the flow's parameters."""

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.child_process import ask

DVC_GRAPH = Path(__file__).with_name("dvc_graph.py")
SLOTS = ("cpu", "gpu", "robot")
NAMES_CHECK = ("ocrrl", "check_names")  # stands before every stage's own command


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml.

    `changed` says why DVC would run it, as `dvc status` does; empty when it is up to date. `timeout` is in seconds.
    """

    name: str
    command: str
    upstream: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    description: str = ""
    changed: tuple[str, ...] = ()
    slot: str = "cpu"
    retries: int = 0
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.slot not in SLOTS:
            raise ValueError(f"dvc.yaml: {self.name}: meta.slot must be one of {', '.join(SLOTS)}, got {self.slot!r}")
        if self.timeout is not None and not self.timeout > 0:
            raise ValueError(f"dvc.yaml: {self.name}: meta.timeout must be over 0 seconds, got {self.timeout!r}")

    @property
    def kind(self) -> str:
        """The stage without its item: `finetune` of `finetune@cube_lift-sim`."""
        return self.name.partition("@")[0]

    @property
    def options(self) -> dict[str, str]:
        """The command's options by name, and `tabletop_task`: `{"tabletop_task": "cube_lift", "seed": "0", ...}`."""
        words = shlex.split(self.command)[2:]
        found = {"tabletop_task": words[0]} if words and not words[0].startswith("-") else {}
        named = [word for word in words if word not in found.values()]
        return found | {name.removeprefix("--"): value for name, value in zip(named[::2], named[1::2], strict=False)}

    @property
    def tabletop_task(self) -> str:
        return self.options.get("tabletop_task", "")

    @property
    def round(self) -> str:
        return self.options.get("round", "")

    @property
    def title(self) -> str:
        """As the Prefect UI shows it: `train_residual · cube_lift · seed 0 · round0`."""
        options = self.options
        parts = [self.kind, options.pop("tabletop_task", ""), options.pop("domain", "")]
        round_name = options.pop("round", "")
        parts += [f"{name} {value}" for name, value in options.items()]
        return " · ".join(part for part in [*parts, round_name] if part)


@dataclass(frozen=True)
class Selection:
    """What a flow run was asked for; an empty field asks for everything.

    With `only_targets`, what the targets need is left out.
    """

    targets: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tabletop_tasks: tuple[str, ...] = ()
    rounds: tuple[str, ...] = ()
    only_targets: bool = False


@dataclass(frozen=True)
class Graph:
    """Every stage of dvc.yaml in an order in which each follows what it needs, and notes on what had to be mended."""

    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = field(default=())

    def select(self, wanted: Selection) -> tuple[Stage, ...]:
        """The stages asked for, in order.

        A target brings everything it needs with it; `kinds`, tabletop tasks and rounds then leave out what is not of them.
        A target is a stage's name, its name without the item, or a path that a stage writes. Raises ValueError for what
        dvc.yaml does not have, naming what it has.
        """
        chosen = {stage.name for stage in self.stages}
        if wanted.targets:
            named = [name for target in wanted.targets for name in self._stages_of(target)]
            chosen = set(named if wanted.only_targets else self._with_upstream(named))
        for what, asked, of in (
            ("stages", wanted.kinds, lambda stage: stage.kind),
            ("tasks", wanted.tabletop_tasks, lambda stage: stage.tabletop_task),
            ("rounds", wanted.rounds, lambda stage: stage.round),
        ):
            known = sorted({of(stage) for stage in self.stages} - {""})
            unknown = [value for value in asked if value not in known]
            if unknown and (what != "stages" or len(unknown) == len(asked)):  # some stages are of later rounds only
                raise ValueError(f"{what} must be among those of dvc.yaml ({', '.join(known)}), got {unknown[0]!r}")
            if asked:
                chosen &= {stage.name for stage in self.stages if of(stage) in asked}
        if not chosen:
            raise ValueError(f"no stage of dvc.yaml is all of {wanted}")
        return tuple(stage for stage in self.stages if stage.name in chosen)

    def _with_upstream(self, names: Iterable[str]) -> list[str]:
        by_name = {stage.name: stage for stage in self.stages}
        found = list(names)
        for name in found:  # grows while it is read
            found += [needed for needed in by_name[name].upstream if needed in by_name and needed not in found]
        return found

    def _stages_of(self, target: str) -> list[str]:
        found = [stage.name for stage in self.stages if target in (stage.name, stage.kind)]
        found += [s.name for s in self.stages if any(Path(target).is_relative_to(out) for out in s.outputs)]
        if not found:
            names = ", ".join(stage.name for stage in self.stages)
            raise ValueError(
                f"targets: {target!r} must be a stage of dvc.yaml or a path that one writes; stages: {names}"
            )
        return found


def read_graph(workspace: Path) -> Graph:
    """The graph of the dvc.yaml in `workspace`, with what DVC says has changed.

    Raises RuntimeError with DVC's own message where dvc.yaml cannot be read, and before DVC is asked where params.yaml holds
    names that a shell or a path could misread.
    """
    refuse_unsafe_names(workspace)
    done = ask([sys.executable, "-I", str(DVC_GRAPH)], workspace)
    if done.returncode:
        raise RuntimeError(f"{workspace / 'dvc.yaml'} could not be read by DVC: {done.stderr.strip()[-2000:]}")
    answer = json.loads(done.stdout)
    return Graph(tuple(in_order([_stage(row) for row in answer["stages"]])), tuple(answer["notes"]))


def refuse_unsafe_names(workspace: Path) -> None:
    """RuntimeError with the message of `ocrrl check_names` where params.yaml holds a name that is none."""
    if not (workspace / "params.yaml").exists():
        return
    done = ask(NAMES_CHECK, workspace)
    if done.returncode:
        raise RuntimeError(f"nothing was run: {done.stderr.strip()[-2000:]}")


def in_order(stages: Sequence[Stage]) -> list[Stage]:
    """The stages so that each follows those it needs, else as they stand in dvc.yaml."""
    waiting, ordered = {stage.name: stage for stage in stages}, []
    while waiting:
        ready = [stage for stage in waiting.values() if not any(name in waiting for name in stage.upstream)]
        if not ready:
            raise ValueError(f"dvc.yaml: these stages need each other: {', '.join(waiting)}")
        ordered.append(ready[0])
        del waiting[ready[0].name]
    return ordered


def _stage(row: dict[str, Any]) -> Stage:
    meta = row["meta"]
    return Stage(
        name=row["name"],
        command=row["command"][-1] if isinstance(row["command"], list) else row["command"],  # its own stands last
        upstream=tuple(row["upstream"]),
        outputs=tuple(row["outputs"]),
        parameters=tuple(row["parameters"]),
        description=row["description"],
        changed=tuple(_reasons(row["changed"] or [])),
        slot=meta.get("slot", "cpu"),
        retries=int(meta.get("retries", 0)),
        timeout=meta.get("timeout"),
    )


def _reasons(changes: list[Any]) -> list[str]:
    """`dvc status` in a line each: `changed deps: data/x (modified)`."""
    lines = []
    for change in changes:
        if isinstance(change, dict):
            for what, items in change.items():
                details = items.items() if isinstance(items, dict) else [(items, "")]
                lines += [
                    f"{what}: {name}" + (f" ({how})" if isinstance(how, str) and how else "") for name, how in details
                ]
        else:
            lines.append(str(change))
    return lines
