"""The policies whose harm is measured: the base, a placebo, residuals as published, and residuals that are held back.

| variant | what it is |
|---|---|
| `base` | the VLA alone |
| `placebo` | the VLA with its actions disturbed by a fiftieth of the residual's bound |
| `residual` | base + residual, as published |
| `always`, `veto=M` | the same residual, trained with critics beside it: without their veto, and acting where their bound is above M |
| `scaled=M` | best of four scalings by that bound, where it is above M |
| `calibrated` | `veto=M` with the M that `calibrate` chose |
| `fade_in=P` | waits until the base stalls, at most P control steps |
| `missed=P` | the same, and until the fingers have closed on nothing |
| `coming_actions=N`, `chunk_phase` | trained with so many of the base's coming actions, with its chunk's phase, in s_t |
| `mean=N` | the mean of the residuals of N seeds, the given one first |
| `pose_noise=N` | trained with N times the noise of poses |
| `wide`, `longer` | trained with networks twice as wide, with twice as many transitions: what a better residual does |

A `+` joins several: `coming_actions=0+fade_in=60`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.observation_spaces import success_rate, train
from benchmarks.recorded_units import PARALLEL
from benchmarks.robustness import stressed
from ocrrl.interface.protocols import Policy, Residual
from ocrrl.interface.stall import FadeIn
from ocrrl.layout import WORK, Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_policy
from ocrrl.policies.policy_type import expected_policies
from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.residual_config import in_action_units
from ocrrl.residual.residual_policy import ResidualPolicy, load_residual
from ocrrl.residual.restraint.placebo import PLACEBO_SHARE, Placebo
from ocrrl.robot.twin.twin import TwinCell
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.stages.evaluate import VLA_OF_CELL
from ocrrl.stages.processes import BackgroundProcess
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_environment, make_scene

GATE = GateConfig()
SCALINGS = 4
STRESSED = "twin_x3"
"""The twin with three times its tracker's errors (`benchmarks.robustness.stressed`)."""
CELLS = (*VLA_OF_CELL, STRESSED)


@dataclass(frozen=True)
class Variant:
    """A policy to measure, by its name."""

    name: str
    training: dict[str, Any] | None = None
    """What its training changes; `longer`, `pose_noise`: so many times the task's transitions, its noise of poses. None: the published
    residual is taken."""
    margin: float | None = None
    scalings: int = 1
    fade_in: FadeIn | None = None
    members: int = 1
    """Seeds whose residuals are averaged."""

    @property
    def corrects(self) -> bool:
        """Whether it has a residual."""
        return self.name not in ("base", "placebo")

    @property
    def trained_as(self) -> str:
        """Which training it shares with other variants."""
        changes = (self.training or {}).items()
        return "-".join(f"{k}={v}" if isinstance(v, int | float) else k for k, v in changes) or "published"


PLAIN, UNNUMBERED = ("base", "placebo", "residual"), ("always", "calibrated", "chunk_phase", "wide", "longer")
LEAST_COUNT = {"coming_actions": 0, "fade_in": 0, "missed": 0, "mean": 2}
"""Variants with a whole number, and the least it may be."""
NUMBERED = (*LEAST_COUNT, "pose_noise", "veto", "scaled")


def variant(text: str, calibrated_margin: float | None = None) -> Variant:
    """The variant that `text` names; ValueError that lists the choices. `calibrated` needs the margin."""
    made = Variant(text)
    for part in text.split("+"):
        name, _, number = part.partition("=")
        known = name in (*UNNUMBERED, *NUMBERED) or text in PLAIN
        if not known or bool(number) != (name in NUMBERED) or (number and not _fits(name, _number(number))):
            choices = ", ".join((*PLAIN, *UNNUMBERED, *(f"{name}=N" for name in NUMBERED)))
            raise ValueError(f"variant must be one of {choices}, or several joined by +, got {text!r}")
        if name == "calibrated" and calibrated_margin is None:
            raise ValueError("variant calibrated must be calibrated first: python -m benchmarks.harm calibrate")
        changes = _changes(name, _number(number), calibrated_margin)
        training = (made.training or {}) | changes.pop("training", {})
        made = replace(made, training=training or None, **changes)
    return made


def _changes(name: str, number: float, calibrated_margin: float | None) -> dict[str, Any]:
    gate, count = {"gate": GATE}, int(number) if name in LEAST_COUNT else 0
    made: dict[str, dict[str, Any]] = {
        "always": {"training": gate, "margin": -math.inf},
        "veto": {"training": gate, "margin": number},
        "scaled": {"training": gate, "margin": number, "scalings": SCALINGS},
        "calibrated": {"training": gate, "margin": calibrated_margin},
        "fade_in": {"fade_in": FadeIn(after=count)},
        "missed": {"fade_in": FadeIn(after=count, missed=0.004)},
        "mean": {"members": count},
        "coming_actions": {"training": {"coming_actions": count}},
        "chunk_phase": {"training": {"chunk_phase": True}},
        "pose_noise": {"training": {"pose_noise": number}},
        "wide": {"training": {"actor_hidden": 256, "critic_hidden": 256}},
        "longer": {"training": {"longer": 2}},
    }
    return made.get(name, {})


def _fits(name: str, number: float) -> bool:
    if name in LEAST_COUNT:
        return number.is_integer() and number >= LEAST_COUNT[name]
    return 0 <= number < math.inf if name == "pose_noise" else not math.isnan(number)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Block:
    """Some initial states of a task, to be run with one policy in one cell."""

    slug: str
    round: str
    variant: Variant
    residual_seed: int
    cell: str
    states: tuple[int, ...] = field(repr=False)


def run_block(block: Block) -> dict[str, Any]:
    """Of each state whether it was solved, as text of 0 and 1; control steps in all, and on how many of them a residual acted."""
    outcomes = run_episodes(*policy_of(block), block.states, keep_traces=True)
    steps = sum(outcome.steps for outcome in outcomes)
    acting = sum(outcome.steps * outcome.trace.acting for outcome in outcomes if outcome.trace is not None)
    return {
        "success": "".join(str(int(outcome.success)) for outcome in outcomes),
        "steps": steps,
        "acting_steps": round(acting),
    }


class MeanResidual:
    """`interface.protocols.Residual`: the mean of several that are asked alike."""

    def __init__(self, members: Sequence[ResidualPolicy]) -> None:
        self._members, first = members, members[0]
        self.every, self.chunk_phase, self.coming_actions = first.every, first.chunk_phase, first.coming_actions

    def residual(self, residual_observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """The mean residual for each observation, float32."""
        return np.stack([member.residual(residual_observation) for member in self._members]).mean(axis=0)


def policy_of(block: Block) -> tuple[Any, Policy, Residual | None]:
    """The environment, base and residual of a block; the residual must have been trained (`trained`)."""
    world, base = _opened(block.slug, block.round, block.cell)
    if block.variant.members > 1:
        seeds = range(block.residual_seed, block.residual_seed + block.variant.members)
        return world, base, MeanResidual([_held_back(replace(block, residual_seed=seed)) for seed in seeds])
    if block.variant.corrects:
        return world, base, _held_back(block)
    if block.variant.name == "placebo":
        config = Params.read().config("train_residual", block.slug)
        amplitude = PLACEBO_SHARE * in_action_units(config.residual_scale)
        base = Placebo(base, PARALLEL, amplitude, config.action_repeat)
    return world, base, None


@cache
def _opened(slug: str, round_name: str, cell: str) -> tuple[Any, Policy]:
    vla_of = {**VLA_OF_CELL, STRESSED: VLA_OF_CELL["twin"]}
    params, task, vla = Params.read(), tabletop_task(slug), Layout(slug, round_name).vla(vla_of[cell])
    base = load_policy(
        vla, task.instruction, PARALLEL, expected=expected_policies(params, slug), cameras=params.cameras
    )
    if cell == STRESSED:
        return TwinCell(make_scene(slug), PARALLEL, cameras=params.cameras, errors=stressed(3.0)), base
    return make_environment(cell, slug, PARALLEL, params.cameras), base


def _held_back(block: Block) -> ResidualPolicy:
    made = block.variant
    residual = load_residual(folder_of(block.slug, block.round, made, block.residual_seed), tabletop_task(block.slug))
    assert isinstance(residual, ResidualPolicy)
    if made.margin is not None and residual.gate is not None:
        residual.gate = replace(residual.gate, margin=made.margin, scalings=made.scalings)
    if made.fade_in is not None:
        residual.fade_in = made.fade_in
    return residual


def folder_of(slug: str, round_name: str, made: Variant, seed: int) -> Path:
    """Where the residual of a variant lies."""
    if made.training is None:
        return Layout(slug, round_name).residual(seed)
    return WORK / "harm" / f"{slug}-{round_name}-{made.trained_as}-{seed}"


def trained(slug: str, round_name: str, made: Variant, seed: int) -> dict[str, Any] | None:
    """Train the residual of a variant, unless it lies there: its costs and validations. A training that was killed goes on."""
    folder = folder_of(slug, round_name, made, seed)
    if folder.is_dir():
        return None
    if made.training is None or round_name != Layout(slug).round:
        raise FileNotFoundError(
            f"{folder} must hold a residual: `ocrrl params --residual-seeds {seed + 1}` and `dvc repro train_residual` make it"
        )
    config, changes = Params.read().config("train_residual", slug), dict(made.training)
    noise = changes.pop("pose_noise", 1.0)
    config = replace(
        config,
        total_timesteps=changes.pop("longer", 1) * config.total_timesteps,
        max_position_noise=noise * config.max_position_noise,
        max_rotation_noise=noise * config.max_rotation_noise,
        **changes,
    )
    judge = partial(success_rate, slug, config.images.look, config.validation_episodes)
    with BackgroundProcess(judge) as validation:
        return train(slug, config, folder, seed, validation)
