"""Algorithm 1: residual TD3 on a frozen base policy in N parallel environments; line numbers are the paper's.

Legend: N environments, D length of the residual observation s. Every environment resets by itself, on success or at the
task's horizon. The paper's one-environment loop is run in lockstep, with `gradient_steps` updates a step of all.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ocrrl import files
from ocrrl.config_builder import values_of
from ocrrl.datasets.transitions import ReplayEpisode
from ocrrl.interface.actions import compose
from ocrrl.interface.protocols import ActsInChunks, Environment, Policy, chunk_features
from ocrrl.interface.seeds import RANGES
from ocrrl.residual.checkpoint import Resumable, load_checkpoint, save_checkpoint
from ocrrl.residual.decisions import Decisions, exploration_noise
from ocrrl.residual.learning_curve import LearningCurve, Validation, published, solved, training_summary
from ocrrl.residual.n_step_returns import NStepReturns, potential, shaped
from ocrrl.residual.observation_spaces.chosen import observation_space
from ocrrl.residual.observation_spaces.distilled import described_teacher
from ocrrl.residual.offline import offline_transitions
from ocrrl.residual.replay_buffer import BatchMemory, ReplayBuffer, sample_mixed
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.residual_policy import Calibrate, TrainedPolicy, calibrated, save_residual
from ocrrl.residual.stopwatch import Stopwatch
from ocrrl.residual.td3 import keep_freed_memory

RANDOM_PURPOSES = ("initial_states", "augmentation", "exploration", "sampling", "offline")

Progress = Callable[[int, dict[str, Any] | None], None]
"""Called after every step of all environments with the transitions so far and the learning curve's last judged point."""


def train_residual(
    config: ResidualConfig,
    environment: Environment,
    base: Policy,
    replay_episodes: list[ReplayEpisode],
    work: Path,
    out: Path,
    seed: int,
    validation: Validation | None = None,
    progress: Progress | None = None,
    calibrate: Calibrate | None = None,
    clock: Callable[[], float] = time.process_time,
) -> TrainedPolicy:
    """Train a residual for `base` in `environment`; publish the best on validation to the folder `out`, and return it.

    `validation` judges policies on validation seeds, and training goes on meanwhile; without it the last one is the best.
    `calibrate` chooses the margin of a gate, which otherwise lets the residual always act.
    `work` keeps the checkpoint and timings: a killed run that is started again goes on, bit for bit if environment and
    base are `Resumable`, with fresh episodes otherwise. The same arguments give the same bytes in `out`.
    Raises ValueError when `config` and `environment` disagree, or `work` holds another run.
    """
    if environment.num_envs != config.num_envs:
        raise ValueError(f"num_envs must be the environment's {environment.num_envs}, got {config.num_envs}")
    torch.set_num_threads(config.threads)
    keep_freed_memory()
    run = _Run(config, environment, base, replay_episodes, work, seed, validation, Stopwatch(clock))
    run.begin()
    while True:
        over = run.transitions >= config.total_timesteps
        if run.curve.due(run.transitions, config.validation_every, config.total_timesteps):
            run.assess()
        run.curve.settle(wait=over)
        if over or solved(run.curve.points, config.stop_at_success):
            break
        run.step()
        run.learn()
        if progress is not None:
            progress(run.transitions, run.curve.points[-1] if run.curve.points else None)
    return run.publish(out, calibrate)


class _Run:
    def __init__(
        self,
        config: ResidualConfig,
        environment: Environment,
        base: Policy,
        replay_episodes: list[ReplayEpisode],
        work: Path,
        seed: int,
        validation: Validation | None,
        stopwatch: Stopwatch,
    ) -> None:
        self.config, self.environment, self.base, self.seed, self.work = config, environment, base, seed, work
        self.replay_episodes, self.stopwatch = replay_episodes, stopwatch
        self.random = {p: np.random.default_rng([seed, i]) for i, p in enumerate(RANDOM_PURPOSES)}
        self.space = observation_space(config, environment, work)
        self.learner = self.space.learner(seed)  # line 2
        dim = self.space.dim
        self.decisions = Decisions(config.num_envs, dim, config.action_repeat, config.gamma)
        gamma = config.gamma**config.action_repeat
        self.returns = NStepReturns(config.num_envs, dim, config.n_step, gamma, config.success_value)
        rows = config.total_timesteps + config.num_envs * config.n_step
        self.online = ReplayBuffer(rows, self.learner.layout.width)
        self.offline = ReplayBuffer(1, self.learner.layout.width)
        self.batches = BatchMemory(config.batch_size, self.learner.layout.width, self.learner.device)

        self.horizon = min(config.max_episode_steps, environment.tabletop_task.horizon)
        self.state = np.zeros((config.num_envs, dim), np.float32)
        self.base_action = np.zeros((config.num_envs, 7), np.float32)
        self.steps = np.zeros(config.num_envs, np.int64)
        self.episode_return = np.zeros(config.num_envs)
        self.potential = np.full(config.num_envs, np.nan)
        self.transitions = 0
        self.curve = LearningCurve(validation, self._policy)
        self.finished: list[tuple[float, bool]] = []  # return and success of the episodes since the curve's last point
        self.timings: list[dict[str, float]] = []

    def begin(self) -> None:
        """Demonstrations into the offline buffer, first episodes or those of the checkpoint."""
        checkpoint = self.work / "checkpoint.safetensors"
        if checkpoint.is_file():
            self._resume(checkpoint)
            return
        random = self.random["offline"]
        self._fill_offline(offline_transitions(self.replay_episodes, self.base, self.config, random, self.space))
        self.stopwatch.lap("offline")
        self._start_episodes(np.arange(self.config.num_envs))

    def step(self) -> None:
        """Lines 4-15, for one time step of all environments."""
        ids, decisions = np.arange(self.config.num_envs), self.decisions
        due = decisions.due()
        if len(due):  # line 12, noise on the residual
            noise = exploration_noise(self.config, due, self.random["exploration"])
            residual = self.learner.residual(self.state[due]) + noise
            decisions.make(due, self.state[due], self.base_action[due], residual)
        action = compose(self.base_action, decisions.residual)  # line 13
        self.stopwatch.lap("actor")
        result = self.environment.step(action, ids)  # line 14
        self.stopwatch.lap("environment")
        self.steps += 1
        self.episode_return += result.reward
        before, self.potential = self.potential, potential(result.reward, result.success)
        reward = shaped(result.reward, before, self.potential, self.config.shaping_weight, self.config.gamma)
        self.transitions += len(ids)
        truncated = ~result.success & (self.steps >= self.horizon)

        over = decisions.step(reward, result.success | truncated)
        self.state, self.base_action = self._perceive(ids, np.isin(ids, over))
        if len(over):
            decided = (decisions.observation, decisions.action, decisions.base_action, decisions.reward)
            led_to = (self.state, self.base_action, result.success, truncated)
            rows = self.returns.add(over, *(column[over] for column in (*decided, *led_to)))
            self.online.add(rows)  # line 15, the combined action
        ended = np.flatnonzero(result.success | truncated)
        self.finished += [(float(self.episode_return[i]), bool(result.success[i])) for i in ended]
        self._start_episodes(ended)

    def learn(self) -> None:
        """Line 16, `gradient_steps` times; batches mix demonstrations and own experience."""
        if len(self.online) < max(self.config.learning_starts, 1):
            return
        offline_count = round(self.config.offline_fraction * self.config.batch_size) if len(self.offline) else 0
        for _ in range(self.learner.gradient_steps):
            with self.batches.batch() as batch:
                sample_mixed(self.online, self.offline, batch.numpy(), offline_count, self.random["sampling"])
                self.learner.update(batch, offline_count)
        self.stopwatch.lap("updates")

    def assess(self) -> None:
        """A new point for the learning curve, and a checkpoint; the policy of now is judged."""
        point = {
            "transitions": self.transitions,
            "validation_success": None,
            **training_summary(self.finished),
            "updates": self.learner.updates,
            **dataclasses.asdict(self.learner.statistics()),
        }
        self.finished = []
        weights = self.learner.actor_weights()
        self._require_converged(weights)
        self.curve.add(point, weights)
        self.stopwatch.lap("validation")
        self.timings.append({"transitions": self.transitions, **self.stopwatch.seconds})
        self._save()
        files.write_json(self.work / "timings.json", self.timings)
        self.stopwatch.lap("checkpoint")
        self.curve.judge()
        self.stopwatch.lap("validation")

    def publish(self, out: Path, calibrate: Calibrate | None) -> TrainedPolicy:
        """Write the best policy, its description and the learning curve; they appear in `out` together."""
        policy, folder = self._policy(self.curve.best), self.work / "published"
        self._require_converged(self.curve.best)
        chosen = self.curve.points[published(self.curve.points)]
        details = {
            "seed": self.seed,
            "cell": self.environment.cell,
            "config": values_of(self.config),
            "selected": {name: chosen[name] for name in ("transitions", "validation_success")},
            **described_teacher(self.config),
        }
        details |= calibrated(policy, calibrate)
        save_residual(folder, policy, self.environment.tabletop_task, details)
        files.write_json(folder / "curve.json", {"points": self.curve.points})
        files.publish(folder, out)
        return policy

    def _require_converged(self, weights: dict[str, np.ndarray]) -> None:
        """RuntimeError for an actor of NaN or infinite weights, which is not kept, validated or published."""
        if wrong := [name for name, value in weights.items() if not np.isfinite(value).all()]:
            raise RuntimeError(
                f"the actor's weights must stay finite, got NaN or infinity in {wrong[0]} after {self.transitions} transitions "
                f"and {self.learner.updates} updates; lower actor_lr (now {self.config.actor_lr:g}) or critic_lr (now "
                f"{self.config.critic_lr:g}). Nothing was published"
            )

    def _perceive(self, ids: np.ndarray, deciding: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lines 6-11 for environments `ids`, some of them `deciding` (n,): the observation s and the base action in it."""
        observation = self.environment.observe().take(ids)
        base_action = self.base.act(observation, ids, self.environment.capture).astype(np.float32)
        chunks = chunk_features(self.base, ids, self.config.chunk_phase, self.config.coming_actions)
        state = self.space.observe(ids, deciding, observation, base_action, chunks, self.random["augmentation"])
        self.stopwatch.lap("base")
        return state, base_action

    def _start_episodes(self, ids: np.ndarray) -> None:
        """Lines 3-4 for environments `ids`, and what is seen first."""
        if not len(ids):
            return
        seeds = RANGES["train"]
        drawn = self.random["initial_states"].integers(seeds.start, seeds.stop, len(ids))
        self.environment.reset(ids, drawn.tolist())
        self.base.reset(ids, drawn.tolist())
        self.steps[ids], self.episode_return[ids], self.potential[ids] = 0, 0.0, np.nan
        self.stopwatch.lap("environment")
        self.state[ids], self.base_action[ids] = self._perceive(ids, np.ones(len(ids), bool))

    def _policy(self, weights: dict[str, np.ndarray]) -> TrainedPolicy:
        return self.space.policy(weights, self.base.largest_delay if isinstance(self.base, ActsInChunks) else 0)

    def _fill_offline(self, rows: np.ndarray) -> None:
        self.offline = ReplayBuffer(max(len(rows), 1), self.learner.layout.width)
        self.offline.add(rows)

    def _identity(self) -> str:
        return files.fingerprint(self.config, self.seed, self.environment.tabletop_task.slug)

    def _save(self) -> None:
        names = ("state", "base_action", "steps", "episode_return", "potential")
        curve_weights, curve = self.curve.get_state()
        parts = {
            "episodes": {name: getattr(self, name) for name in names},
            "decisions": self.decisions.get_state(),
            "learner": self.learner.get_state(),
            "online": self.online.get_state(),
            "offline": self.offline.get_state(),
            "returns": self.returns.get_state(),
            **curve_weights,
        }
        if self.space.frames is not None:
            parts["frames"] = self.space.frames.get_state()
        if isinstance(self.environment, Resumable) and isinstance(self.base, Resumable):
            parts |= {"environment": self.environment.get_state(), "base": self.base.get_state()}
        facts = {
            "identity": self._identity(),
            "transitions": self.transitions,
            **curve,
            "random": {purpose: generator.bit_generator.state for purpose, generator in self.random.items()},
            "timings": self.timings,
        }
        save_checkpoint(self.work / "checkpoint.safetensors", parts, facts)

    def _resume(self, checkpoint: Path) -> None:
        parts, facts = load_checkpoint(checkpoint)
        if facts["identity"] != self._identity():
            raise ValueError(f"{checkpoint} must belong to this config, seed and tabletop task, got one of another run")
        self.transitions, self.timings = facts["transitions"], facts["timings"]
        self.stopwatch.seconds = {k: v for k, v in self.timings[-1].items() if k != "transitions"}
        for purpose, state in facts["random"].items():
            self.random[purpose].bit_generator.state = state
        self.curve.set_state(parts, facts)
        self.curve.judge()
        self.learner.set_state(parts["learner"])
        if self.space.frames is not None:
            self.space.frames.set_state(parts["frames"])
        self.online.set_state(parts["online"])
        self._fill_offline(parts["offline"]["rows"])
        environment, base = self.environment, self.base
        if "environment" in parts and isinstance(environment, Resumable) and isinstance(base, Resumable):
            self.returns.set_state(parts["returns"])
            self.decisions.set_state(parts["decisions"])
            for name, value in parts["episodes"].items():
                getattr(self, name)[:] = value
            environment.set_state(parts["environment"])
            base.set_state(parts["base"])
        else:
            self._start_episodes(np.arange(self.config.num_envs))
