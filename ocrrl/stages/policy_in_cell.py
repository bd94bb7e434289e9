"""A policy in a cell that any process can open; its episodes run in several processes, a batch at a time, with the same bytes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ocrrl.interface.residual_observations import AnyResidual, ImageResidual
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.params import Params
from ocrrl.policies.policy_type import COMPACT, REMOTE, expected_policies, policy_type
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.stages.processes import side_by_side
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_environment

if TYPE_CHECKING:
    from ocrrl.policies.chunked_policy import ChunkedPolicy
    from ocrrl.robot.twin.twin import TwinCell
    from ocrrl.sim.environment import SimEnvironment

TWIN = "twin"
"""The cell of rollouts, and of what is retrained on them."""
PROCESSES = 4  # at most, of a stage: others may run beside it, and each takes about 1 GB
LARGE_VLAS = 2  # where the VLA is not a compact one, since each has its own copy


class RunsBatches(Protocol):
    """The parameters of a stage that runs episodes."""

    @property
    def num_envs(self) -> int: ...

    @property
    def device(self) -> str: ...


@dataclass(frozen=True)
class PolicyInCell:
    """A VLA, alone or with a residual, in a cell: all that a process has to be told to run its episodes."""

    slug: str
    cell: str
    """`sim` or `twin`."""
    vla: Path
    residual: Path | None
    num_envs: int
    device: str
    expected: tuple[tuple[str, bool], ...]
    """Policy types that the VLA may be of: `policy_type.expected_policies`."""
    cameras: tuple[tuple[str, tuple[int, int]], ...]

    @classmethod
    def of(
        cls,
        task: TabletopTask,
        params: Params,
        config: RunsBatches,
        episodes: int,
        cell: str,
        vla: Path,
        residual: Path | None = None,
    ) -> "PolicyInCell":
        """For `episodes` of them, as the stage of `config` runs it."""
        expected = tuple(sorted(expected_policies(params, task.slug).items()))
        cameras = tuple(params.cameras.items())
        num_envs = min(config.num_envs, episodes)
        return cls(task.slug, cell, vla, residual, num_envs, config.device, expected, cameras)

    def processes(self) -> int:
        """How many may run it side by side on this machine; one where its VLA is a server's, which has one robot a connection."""
        most = {REMOTE: 1, COMPACT: PROCESSES}
        return min(os.cpu_count() or 1, most.get(policy_type(self.vla), LARGE_VLAS))

    def batches(self, seeds: Sequence[int]) -> list[list[int]]:
        """The `seeds` of episodes that run in lockstep."""
        return [list(seeds[first : first + self.num_envs]) for first in range(0, len(seeds), self.num_envs)]


class Opened(NamedTuple):
    """What a `PolicyInCell` stands for."""

    environment: "SimEnvironment | TwinCell"
    base: "ChunkedPolicy"
    residual: AnyResidual | None


_latest: dict[PolicyInCell, Opened] = {}


def opened(policy: PolicyInCell) -> Opened:
    """The environment, VLA and residual of `policy`; kept until another is asked for, since batches come one after the other."""
    if policy not in _latest:
        _latest.clear()  # first, so that a process never holds two VLAs
        _latest[policy] = _open(policy)
    return _latest[policy]


def _open(policy: PolicyInCell) -> Opened:
    from ocrrl.policies.checkpoint import load_policy

    task, cameras = tabletop_task(policy.slug), dict(policy.cameras)
    base = load_policy(policy.vla, task.instruction, policy.num_envs, policy.device, dict(policy.expected), cameras)
    residual = None
    if policy.residual is not None:
        from ocrrl.residual.residual_policy import load_residual

        residual = load_residual(policy.residual, task)
    look = residual.look if isinstance(residual, ImageResidual) else "plain"
    return Opened(make_environment(policy.cell, policy.slug, policy.num_envs, cameras, look), base, residual)


def run_batch(policy: PolicyInCell, seeds: Sequence[int], keep_traces: bool) -> list[EpisodeOutcome]:
    """One episode of `policy` for each of `seeds`."""
    return run_episodes(*opened(policy), seeds, keep_traces=keep_traces)


def run_policies(
    policies: Sequence[PolicyInCell], seeds: Sequence[int], keep_traces: bool = False
) -> list[list[EpisodeOutcome]]:
    """For each policy one episode for each of `seeds`, in those orders."""
    calls = [(policy, batch, keep_traces) for policy in policies for batch in policy.batches(seeds)]
    outcomes = iter(side_by_side(run_batch, calls, most=min(policy.processes() for policy in policies)))
    return [[outcome for _ in policy.batches(seeds) for outcome in next(outcomes)] for policy in policies]
