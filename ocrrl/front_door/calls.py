"""The functions of `ocrrl.<name>` for scripts and notebooks: docs/notebook.md.

They put together what the stages of the pipeline use, and write nothing but what they are asked to.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from ocrrl.config_builder import build
from ocrrl.datasets.transitions import ReplayEpisode
from ocrrl.front_door.demonstrations import replayed_demonstrations
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import VLA, Capture, Environment, Policy
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.params import chosen_cameras
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.compact_policy import CompactVLA
from ocrrl.policies.latency_file import delay_of
from ocrrl.preset_params import resolve
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import (
    PAIRED_COLUMNS,
    SUCCESS_COLUMNS,
    VARIANT_LABELS,
    cell_label,
    paired_columns,
    success_columns,
)
from ocrrl.residual import residual_policy
from ocrrl.residual.checkpoint import Resumable
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.residual_config import RANDOMISED, ResidualConfig
from ocrrl.residual.residual_policy import TrainedPolicy
from ocrrl.residual.train_residual import train_residual as run_algorithm_1
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.evaluate import VARIANTS, evaluate_pair
from ocrrl.stages.train_residual import margin_in
from ocrrl.tabletop.registry import slugs, tabletop_task
from ocrrl.worlds import make_environment

if TYPE_CHECKING:
    from ocrrl.robot.twin.twin import TwinCell
    from ocrrl.sim.environment import SimEnvironment

__all__ = ["evaluate", "load_policy", "load_residual", "make_env", "train_residual"]


class SavedPolicy:
    """`interface.protocols.Policy` by the VLA in the folder `path`, for as many environments as it is asked to act in."""

    def __init__(self, path: Path, vla: VLA, instruction: str | None) -> None:
        """`instruction` is None where the environment's tabletop task is to decide."""
        self.path, self.vla, self.instruction, self.delay = path, vla, instruction, delay_of(path)
        self._policy: ChunkedPolicy | None = None
        self._num_envs = 0

    def acting_in(self, env: Environment) -> ChunkedPolicy:
        """A policy of its own for `env`, with the instruction of its tabletop task unless another was asked for."""
        instruction = self.instruction or env.tabletop_task.instruction
        return ChunkedPolicy(self.vla, instruction, env.num_envs, delay=self.delay)

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """Begin new episodes in the environments `ids`, from the initial states that `seeds` stand for."""
        self._for(ids).reset(ids, seeds)

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "n 7"]:
        """The actions for the environments `ids`; ValueError where the instruction is not known."""
        return self._for(ids).act(observation, ids, capture)

    def _for(self, ids: np.ndarray) -> ChunkedPolicy:
        """The policy with room for the environments `ids`, those that it acts in already as they are."""
        if self._policy is not None and (not len(ids) or ids.max() < self._num_envs):
            return self._policy
        instruction = self.instruction or _only_instruction(self.vla)
        if instruction is None:
            raise ValueError(
                f"the policy of {self.path} must know its tabletop task to act by itself: load_policy(path, task='cube_lift')"
            )
        before, former = self._num_envs, self._policy
        self._num_envs = int(ids.max()) + 1 if len(ids) else 1
        self._policy = ChunkedPolicy(self.vla, instruction, self._num_envs, delay=self.delay)
        if former is not None:
            state = self._policy.get_state()
            for name, value in former.get_state().items():
                state[name][:before] = value
            self._policy.set_state(state)
        return self._policy


def make_env(
    task: str, cell: str = "sim", num_envs: int = 16, cameras: CameraSizes | None = None
) -> "SimEnvironment | TwinCell":
    """`num_envs` copies of the tabletop task `task` (such as cube_lift) in `cell`: `sim`, to train in, or `twin`.

    It takes images with `cameras`, (height, width) [pixel] by name: without them those of the params.yaml here, or 64 x 64.
    The result is an `interface.protocols.Environment`. Raises ValueError that names the known tasks, cells or cameras.
    """
    if num_envs < 1:
        raise ValueError(f"num_envs must be at least 1, got {num_envs}")
    return make_environment(cell, task, num_envs, chosen_cameras(cameras))


def load_policy(path: str | Path, task: str | None = None, device: str = "auto") -> SavedPolicy:
    """The VLA in the LeRobot `pretrained_model/` folder `path`, as a policy on `device` (auto, cpu, cuda).

    `train_residual` and `evaluate` give it the instruction of their environment's tabletop task. To act by itself it takes the
    instruction of `task`, or the only one that the VLA was trained with. The folder's own code is never run.
    Raises FileNotFoundError where there is no VLA, ValueError for one that is damaged or an unknown `task`.
    """
    path = Path(path)
    return SavedPolicy(path, load_vla(path, device), None if task is None else tabletop_task(task).instruction)


def load_residual(path: str | Path) -> TrainedPolicy:
    """The residual policy in the folder `path`, written by `train_residual` or its stage.

    Raises FileNotFoundError or ValueError naming the file and the field that is missing or damaged.
    """
    folder = Path(path)
    config = folder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"residual policy {folder} must hold config.json, which is missing")
    slug = read_json_object(config).get("tabletop_task")
    if not isinstance(slug, str) or slug not in slugs():
        raise ValueError(f"{config}: tabletop_task must be one of {', '.join(slugs())}, got {said(slug)}")
    return residual_policy.load_residual(folder, tabletop_task(slug))


def train_residual(
    env: Environment,
    base: Policy,
    demonstrations: str | Path | Sequence[ReplayEpisode],
    out: str | Path | None = None,
    seed: int = 0,
    *,
    validate: bool = True,
    progress: bool = True,
    **settings: Any,
) -> TrainedPolicy:
    """Train a residual for `base` in `env` (cell sim) by Algorithm 1, and write the best on validation to the folder `out`.

    `demonstrations` are a folder of recorded episodes, the .zarr of `ocrrl replay`, or a list of replayed episodes.
    `settings` are fields of `ResidualConfig`, such as total_timesteps; the others are those of the preset `default` for the
    tabletop task. `validate` runs episodes from validation states in `env` in between and goes on where training was; without
    it the last policy is the result. The margin of a `gate` is calibrated in `env` at the end. The stage `train_residual` calls
    the same code. A residual that lies in `out` is replaced.
    Raises ValueError for a setting, an environment or demonstrations that cannot be trained with.
    """
    task, target = env.tabletop_task, None if out is None else _replaceable(Path(out))
    if env.cell != "sim":
        raise ValueError(
            f"env must be of the cell sim, where a residual is trained before any other cell sees it, got {env.cell}: "
            f"make_env({task.slug!r}, 'sim', num_envs)"
        )
    config = _config(task, env.num_envs, settings)
    acting = _acting(base, env)
    validation = _validation(env, acting, config.validation_episodes) if validate else None
    replayed = replayed_demonstrations(demonstrations, task, progress)
    with (
        tempfile.TemporaryDirectory(prefix="ocrrl-train-residual-") as work,
        tqdm(total=config.total_timesteps, desc="train_residual", unit="transition", disable=not progress) as bar,
    ):

        def report(transitions: int, point: dict[str, Any] | None) -> None:
            bar.update(min(transitions, config.total_timesteps) - bar.n)
            bar.set_postfix(validated=point and point["validation_success"], refresh=False)

        folder = Path(work) / "residual" if target is None else target
        calibrate = partial(margin_in, env, acting, config)
        return run_algorithm_1(
            config, env, acting, replayed, Path(work) / "work", folder, seed, validation, report, calibrate
        )


def evaluate(env: Environment, base: Policy, residual: AnyResidual, episodes: int = 100) -> dict[str, Any]:
    """Run `base`, then base + residual, from the same `episodes` held-out initial states; print and return the numbers.

    The result is a cell's entry in the metrics of the stage `evaluate`: `base` and `residual` with Wilson intervals,
    `paired` counts, `difference` of the rates with Newcombe's interval and McNemar's p, `steps_difference`.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    evaluation = evaluate_pair(env, _acting(base, env), residual, initial_state_seeds("test", episodes))
    measured = evaluation.metrics()
    rates = Table(
        ("policy", *SUCCESS_COLUMNS),
        [(VARIANT_LABELS[variant], *success_columns(measured[variant])) for variant in VARIANTS],
    )
    paired = Table(("of the initial states", *PAIRED_COLUMNS), [("solved by", *paired_columns(measured))])
    print(f"{env.tabletop_task.slug}, {cell_label(env.cell)}, {episodes} held-out initial states\n")
    print(markdown_table(rates), markdown_table(paired), sep="\n", end="")
    return measured


def _only_instruction(vla: VLA) -> str | None:
    known = list(vla.encoder.known) if isinstance(vla, CompactVLA) else []
    return known[0] if len(known) == 1 else None


def _acting(base: Policy, env: Environment) -> Policy:
    """`base` with a state of its own for `env`, where that is ours to make."""
    return base.acting_in(env) if isinstance(base, SavedPolicy) else base


def _config(task: TabletopTask, num_envs: int, settings: dict[str, Any]) -> ResidualConfig:
    if ranges := [name for name in settings if name in RANDOMISED]:
        raise ValueError(
            f"{ranges[0]} must be given to the simulator, not to train_residual: "
            f"env = ocrrl.worlds.make_simulator({task.slug!r}, {num_envs}, {{{ranges[0]!r}: {settings[ranges[0]]!r}}})"
        )
    preset = resolve("default", [task.slug])["train_residual"][task.slug]
    return build(ResidualConfig, preset | {"num_envs": num_envs} | settings, "train_residual", complete=False)


def _validation(env: Environment, base: Policy, episodes: int) -> BlockingValidation:
    """Success from validation states in `env` itself, which then goes on from where it was."""
    for name, value in (("env", env), ("base", base)):
        if not isinstance(value, Resumable):
            raise ValueError(
                f"{name} must offer get_state and set_state, so that training continues after each validation, got "
                f"{type(value).__name__}; train without validation with validate=False"
            )
    assert isinstance(env, Resumable) and isinstance(base, Resumable)
    seeds = initial_state_seeds("validation", episodes)

    def success_rate(residual: AnyResidual) -> float:
        env_state, base_state = env.get_state(), base.get_state()
        outcomes = run_episodes(env, base, residual, seeds)
        env.set_state(env_state)
        base.set_state(base_state)
        return float(np.mean([outcome.success for outcome in outcomes]))

    return BlockingValidation(success_rate)


def _replaceable(out: Path) -> Path:
    """`out`, if nothing but a residual lies there: the folder is replaced as a whole."""
    if out.exists() and not (out / "actor.safetensors").is_file():
        raise ValueError(f"out must be a new folder or one of a residual policy, got {out}, which holds something else")
    return out
