"""Runs and records the episodes of a session one after the other, each noted before it begins."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ocrrl.interface.protocols import Abort, Environment, Policy, PolicyFault
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.robot.cell.guarded_cell import NotFit, RobotCell
from ocrrl.robot.operator.approval import NotApproved
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.operator.ending_signals import signals_held_back
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.rollout import OPERATOR
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.sessions.session_folder import SessionFolder, interventions_told
from ocrrl.sessions.start_check import ASKS, ConfirmedStart, StartNotConfirmed


@dataclass(frozen=True)
class PlannedEpisode:
    """An episode that is to run."""

    variant: str
    """Who acts: `base`, `residual` or `corrected`."""
    seed: int
    label: str
    """What the session's folder calls the variant."""
    heading: str
    """What the terminal calls the episode."""


@dataclass(frozen=True)
class Acting:
    """Who acts in the episodes of a session, and what each of them holds."""

    base: Policy
    residuals: Mapping[str, AnyResidual | None]
    """By variant; None where the base acts alone."""
    versions: Mapping[str, str]
    ready: Callable[[], object] = lambda: None
    """Raises PolicyFault before an episode in which the base, or who steps in, could not act."""
    plan: str | None = None
    """The hash of the plan that the episodes belong to."""
    check_start: Callable[[Environment, int], None] | None = None
    """Raises StartNotConfirmed where the cell does not show the initial state of a seed; None where nobody looks."""


def record_episodes(
    session: SessionFolder, episodes: Iterable[PlannedEpisode], cell: RobotCell, acting: Acting
) -> None:
    """Run and record `episodes`, each asked for when the one before has ended.

    A fault in mid-episode ends that episode alone. A start that is not confirmed is asked for again, and `ASKS` of them count
    as such a fault.
    """
    for planned in episodes:
        calibration = cell.calibration()
        recorder = RolloutRecorder(
            cell, OPERATOR, calibration, acting.versions, session.folder, policy=acting.base, plan=acting.plan
        )
        recorder.seeds = {planned.seed}
        acting.ready()
        attempt = session.begin(planned.label, planned.seed)
        try:
            outcome = _run(planned, cell, acting, recorder)
        except (NotApproved, NotFit):
            session.withdraw(attempt)
            raise
        except StartNotConfirmed as wrong:
            session.end(attempt, str(wrong), "fault")
            print(f"{planned.heading}: it does not begin", flush=True)
            continue
        except EndedByOperator as ended:
            session.end(attempt, str(ended), "operator")
            raise
        except PolicyFault as fault:  # the arm is at rest
            if not (unfinished := recorder.unfinished()):
                session.end(attempt, str(fault), None)
                raise
            with signals_held_back():
                session.keep(attempt, unfinished[planned.seed], Abort("fault", str(fault)))
            print(f"{planned.heading}: ended by a fault: {fault}", flush=True)
            continue
        except BaseException as error:  # Ctrl-C too: what was recorded is kept, then whoever waits is told
            why, unfinished = f"{type(error).__name__}: {error}".removesuffix(": "), recorder.unfinished()
            for episode in unfinished.values():
                session.keep_unfinished(attempt, episode, why)
            if not unfinished:
                session.end(attempt, why, None if isinstance(error, Exception) else "operator")
            raise
        with signals_held_back():
            session.keep(attempt, recorder.episodes.pop(planned.seed), outcome.aborted)
        ending = "success" if outcome.success else "failure"
        why = f", ended by the {outcome.aborted.by}: {outcome.aborted.why}" if outcome.aborted else ""
        blind = planned.label != planned.variant  # how long it took would tell who acted
        acted = ending if blind else f"{ending} after {outcome.steps} steps{interventions_told(attempt)}"
        print(f"{planned.heading}: {acted}{why}", flush=True)


def _run(planned: PlannedEpisode, cell: RobotCell, acting: Acting, recorder: RolloutRecorder) -> EpisodeOutcome:
    """The episode, whose start is asked for `ASKS` times until it is confirmed; else StartNotConfirmed."""
    check, residual = acting.check_start, acting.residuals[planned.variant]
    observer = recorder if check is None else ConfirmedStart(recorder, cell, check)
    for ask in range(1, ASKS + 1):
        try:
            (outcome,) = run_episodes(cell, acting.base, residual, [planned.seed], observer)
        except StartNotConfirmed as wrong:
            print(f"{planned.heading}: {wrong} ({ask} of {ASKS})", flush=True)
            if ask == ASKS:
                raise
        else:
            return outcome
    raise AssertionError("a start is asked for at least once")
