"""Rounds of self-improvement whose rollouts differ, outside of `data/`: each folder of `.work/rounds` is made once.

A path such as `plain/fresh+labels` names what each round did; its VLA is trained on what its last round collected, from scratch, with
as many optimiser steps a tabletop task as `retrain_multitask` has. Round 0 begins with the VLAs and the residual in `data/`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl import files
from ocrrl.datasets.transitions import read_replay_transitions
from ocrrl.episodes.episode_store import part_files, read_episode
from ocrrl.episodes.ingested import ingested_files
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_policy
from ocrrl.policies.finetune import finetune
from ocrrl.policies.training_data import TrainingData
from ocrrl.recordings.training_set import build_training_set
from ocrrl.replay.replay import replay_episodes
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.train_residual import train_residual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.handover import HandoverRule
from ocrrl.rollouts.rollout import FAILURES, LABELLED, Attempts, RolloutConfig, collect_rollouts
from ocrrl.stages.policy_in_cell import TWIN, PolicyInCell
from ocrrl.stages.rollout import run_attempts, run_labelled
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_simulator

WORK = Path(".work/rounds")
PARALLEL = 25
PARTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "plain": {},
    "base": {},
    "earlier": {},
    "continued": {},
    "twice": {},
    "more": {"rollout": {"successes": 100, "max_attempts": 600}},
    "fresh": {"rollout": {"initial_states": "fresh"}},
    "failed": {"rollout": {"initial_states": "failed", "max_attempts": 1000}},
    "hybrid": {"rollout": {"handover": HandoverRule()}},
    "probe": {"rollout": {"handover": HandoverRule(after=0, after_least=0)}},
    "labels": {"rollout": {"labelled": 50}},
    "long_labels": {"rollout": {"labelled": 50}, "training_set": {"label_steps": 16}},
    "flagged": {"rollout": {"failures": 25}, "training_set": {"failures": "flagged"}},
}
"""What a part of a path sets in params.yaml. `plain`: nothing; `base`: rollouts of the VLA alone, the control; `earlier`: what all
rounds so far collected is trained on; `continued`: from the VLA before in place of an untrained one; `twice`: as many steps again;
`hybrid`, `probe`: a handover after, or at a random step within, the median length of the VLA's successes."""


@dataclass(frozen=True)
class Rounds:
    """The rounds of `path` on `tasks`; `seed` is that of the VLAs' training in the last one."""

    tasks: tuple[str, ...]
    path: tuple[str, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        for part in (part for name in self.path for part in name.split("+")):
            if part not in PARTS:
                raise ValueError(f"a path's parts must be among {', '.join(PARTS)}, got {part!r}")

    @property
    def before(self) -> "Rounds":
        """The rounds but the last one, with seed 0."""
        return Rounds(self.tasks, self.path[:-1])

    @property
    def parts(self) -> tuple[str, ...]:
        """What the last round did."""
        return tuple(self.path[-1].split("+"))

    @property
    def folder(self) -> Path:
        return WORK.joinpath("+".join(self.tasks), *self.path)

    def vla(self, domain: str, task: str) -> Path:
        """The pair's VLA in `domain`: the task's own in `data/` before any round."""
        named = f"vla_{domain}{f'-{self.seed}' * bool(self.seed)}"
        return self.folder / named if self.path else Layout(task).vla(domain)

    def residual(self, task: str) -> Path:
        return self.folder / f"residual-{task}" if self.path else Layout(task).residual(0)

    def config(self, section: str, task: str) -> Any:
        """The section of params.yaml with what the last round's parts set."""
        changes = {key: value for part in self.parts for key, value in PARTS[part].get(section, {}).items()}
        return replace(Params.read().config(section, task), **changes)


def retrained(rounds: Rounds, usual_steps: Mapping[str, int]) -> None:
    """Make the VLA of `rounds`; `usual_steps` is, by task, the median length of successes of the VLA before."""
    out = rounds.vla("real", rounds.tasks[0])
    if out.is_dir():
        return
    for task in rounds.tasks:
        _collect(rounds, task, usual_steps[task])
        _training_set(rounds, task)
    sets = [TrainingData(rounds.folder / f"set-{task}") for task in rounds.tasks]
    start = rounds.before.vla("real", rounds.tasks[0]) if "continued" in rounds.parts else None
    if start and len(rounds.path) == 1 and len(rounds.tasks) > 1:
        raise ValueError("continued must stand in a later round for several tasks, whose first VLAs are one each")
    finetune(sets, out, out.with_name(f".{out.name}"), _finetuning(rounds), start, progress=False, vla="retrained")


def next_pair(rounds: Rounds) -> None:
    """Make what a further round needs of `rounds` besides its VLA: the simulator's counterpart, and a residual on that one."""
    folder, out = rounds.folder, rounds.vla("sim", rounds.tasks[0])
    if not rounds.path:
        return
    for task in rounds.tasks:
        if not (folder / f"transitions-{task}.zarr").is_dir():
            _replay(rounds, task)
    if not out.is_dir():
        parts = [part for part in _trained_on(rounds) if part.path]
        roots = [Layout(task).dataset("sim") for task in rounds.tasks]
        roots += [part.folder / f"sim-{task}" for part in parts for task in rounds.tasks]
        finetune(
            [TrainingData(root) for root in roots],
            out,
            out.with_name(".vla_sim"),
            _finetuning(rounds),
            vla="sim",
            progress=False,
        )
    for task in rounds.tasks:
        if not rounds.residual(task).is_dir():
            _train_residual(rounds, task)


def _trained_on(rounds: Rounds) -> list[Rounds]:
    """The rounds whose rollouts the last one trains on, the latest last."""
    earlier = _trained_on(rounds.before) if "earlier" in rounds.parts and len(rounds.path) > 1 else []
    return [*earlier, replace(rounds, seed=0)]


def _finetuning(rounds: Rounds) -> Any:
    params = Params.read()
    config = params.multitask_config("retrain_multitask")
    steps = config.steps * len(rounds.tasks) * (1 + ("twice" in rounds.parts)) // len(params.tasks())
    return replace(config, steps=steps, seed=rounds.seed)


def _collect(rounds: Rounds, task: str, usual_steps: int) -> None:
    """The rollouts of the last round, in one process; rounds that collect alike share them."""
    before = rounds.before
    config: RolloutConfig = rounds.config("rollout", task)
    if config.handover:
        config = replace(config, handover=replace(config.handover, after=usual_steps))
    residual = None if "base" in rounds.parts else before.residual(task)
    vla = before.vla("real", task)
    acting = PolicyInCell.of(tabletop_task(task), Params.read(), config, config.max_attempts, TWIN, vla, residual)
    seeds = initial_state_seeds("rollout", config.max_attempts, config.first_state(len(before.path)))
    wanted = [("", run_attempts, replace(config, labelled=0))]
    if config.labelled:
        wanted.append((LABELLED, run_labelled, replace(config, successes=config.labelled, failures=0, handover=None)))
    for part, run, settings in wanted:

        def attempt(
            batches: Iterable[tuple[list[int], int]],
            run: Callable[..., Attempts] = run,
            settings: RolloutConfig = settings,
        ) -> Iterator[Attempts]:
            return (run(acting, settings, *batch) for batch in batches)

        out = before.folder / f"rollouts-{task}-{part or 'base' * (residual is None)}-{files.fingerprint(settings)}"
        if not out.is_dir():
            summary = collect_rollouts(TWIN, attempt, out, seeds, settings, out.with_name(f".{out.name}"))
            print(f"{out.name}: {summary.recorded} of {summary.wanted}, {summary.passed_over} passed over", flush=True)
        files.write_json(rounds.folder / f"from-{task}-{part}.json", str(out))


def _training_set(rounds: Rounds, task: str) -> None:
    out, layout, params = rounds.folder / f"set-{task}", Layout(task), Params.read()
    if out.is_dir():
        return
    kept = set(json.loads(layout.accepted_replays.read_text()))
    accepted = ingested_files(params.episodes_folder(task), layout.normalised_episodes, layout.ingest_report)
    parts = {part: [] for part in ("", LABELLED, FAILURES)}
    for of_round in _trained_on(rounds):
        for part, pairs in parts.items():
            pairs += _rollouts(of_round, task, part)
    build_training_set(
        [pair for pair in accepted if pair[0] in kept],
        parts[""],
        out,
        tabletop_task(task),
        rounds.config("training_set", task),
        "base_rollout" if "base" in rounds.parts else "rollout",
        cameras=params.cameras,
        labelled=parts[LABELLED],
        failures=parts[FAILURES],
    )


def _rollouts(rounds: Rounds, task: str, part: str) -> list[tuple[str, Path]]:
    """The episodes that the last round collected, by source name: successes, `LABELLED` or `FAILURES`."""
    noted = rounds.folder / f"from-{task}-{LABELLED if part == LABELLED else ''}.json"
    if not noted.is_file():
        return []
    folder = Path(json.loads(noted.read_text()))
    return part_files(folder, f"{task}_{len(rounds.path) - 1}{part}", part if part == FAILURES else "")


def _replay(rounds: Rounds, task: str) -> None:
    folder, params = rounds.folder, Params.read()
    rollouts = _rollouts(rounds, task, "")
    replay_episodes(
        [(source, read_episode(path)) for source, path in rollouts],
        make_simulator(task, max(1, min(10, len(rollouts))), cameras=params.cameras),
        folder / f"sim-{task}",
        folder / f"transitions-{task}.zarr",
        folder / f"accepted-{task}.json",
        folder / f"replay-{task}.json",
        params.config("replay", task),
        labelled=[(source, read_episode(path)) for source, path in _rollouts(rounds, task, LABELLED)],
    )


def _train_residual(rounds: Rounds, task: str) -> None:
    config, vla = Params.read().config("train_residual", task), rounds.vla("sim", task)
    instruction, simulator = tabletop_task(task).instruction, make_simulator(task, PARALLEL)
    seeds = initial_state_seeds("validation", config.validation_episodes)

    def success_rate(residual: AnyResidual) -> float:
        outcomes = run_episodes(simulator, load_policy(vla, instruction, PARALLEL), residual, seeds)
        return float(np.mean([outcome.success for outcome in outcomes]))

    train_residual(
        config,
        make_simulator(task, config.num_envs),
        load_policy(vla, instruction, config.num_envs),
        read_replay_transitions(rounds.folder / f"transitions-{task}.zarr"),
        rounds.folder / f".residual-{task}",
        rounds.residual(task),
        0,
        BlockingValidation(success_rate),
    )
