"""Which episodes a session runs: as many as were asked for, or those that `sequential_session` asks for one at a time."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

from ocrrl.interface.seeds import SEEDS_PER_RANGE, initial_state_seeds
from ocrrl.layout import Layout
from ocrrl.rollouts.evaluate import VARIANTS
from ocrrl.sessions.evaluation_plan import EvaluationPlan
from ocrrl.sessions.evaluation_session import to_run, write_comparison
from ocrrl.sessions.record_episodes import PlannedEpisode
from ocrrl.sessions.session_folder import SessionFolder

MAX_EPISODES = 1000
_EARLIER_SEEDS = SEEDS_PER_RANGE // 2


class Schedule(Protocol):
    """The episodes of one session."""

    session: SessionFolder

    @property
    def plan(self) -> EvaluationPlan | None:
        """What was fixed before the first episode; None where nothing was."""
        ...

    @property
    def most(self) -> int:
        """Episodes that may still begin, which an approval must cover."""
        ...

    def begin(self) -> None:
        """Write what must be there before the first episode."""
        ...

    def episodes(self) -> Iterable[PlannedEpisode]:
        """Those that are to run, the next one when the one before has ended."""
        ...

    def conclude(self, now_utc: str) -> None:
        """Write and print what the recorded episodes say, after each run of the session."""
        ...


class FixedSchedule:
    """A `Schedule` of a number of episodes that was given."""

    plan = None

    def __init__(self, session: SessionFolder, planned: Sequence[tuple[str, int]], layout: Layout) -> None:
        """`planned` are variant and seed of each."""
        self.session, self._planned, self._layout = session, planned, layout
        self._compares = session.identity["purpose"] == "evaluate"

    @property
    def most(self) -> int:
        return len(self._missing())

    def begin(self) -> None:
        pass

    def episodes(self) -> list[PlannedEpisode]:
        missing = self._missing()
        return [
            PlannedEpisode(variant, seed, variant, f"episode {count} of {len(missing)} ({variant})")
            for count, (variant, seed) in enumerate(missing, start=1)
        ]

    def conclude(self, now_utc: str) -> None:
        if self._compares:
            write_comparison(self.session, self._layout, self._planned)

    def _missing(self) -> list[tuple[str, int]]:
        return to_run(self.session.attempts, self._planned) if self._compares else self.session.missing(self._planned)


def planned_episodes(purpose: str, session: str, episodes: int | None) -> list[tuple[str, int]]:
    """Variant and seed of each of the `episodes`; `evaluate` runs two an initial state, the variants taking turns in going first."""
    if episodes is None or not 1 <= episodes <= MAX_EPISODES:
        raise ValueError(f"a session must be given --episodes from 1 to {MAX_EPISODES}, got {episodes}")
    if purpose == "evaluate" and episodes % 2:
        raise ValueError(
            f"evaluate must be given an even number of --episodes, both policies of each pair, got {episodes}"
        )
    place = int(hashlib.sha256(session.encode()).hexdigest(), 16) % (_EARLIER_SEEDS - MAX_EPISODES)
    first = _EARLIER_SEEDS + place
    if purpose == "rollout":
        return [("corrected", seed) for seed in initial_state_seeds("rollout", episodes, first)]
    seeds = initial_state_seeds("test", episodes // 2, first)
    return [(variant, seed) for k, seed in enumerate(seeds) for variant in (VARIANTS if k % 2 == 0 else VARIANTS[::-1])]
