"""Sessions: `rollout` and `evaluate` in a cell other than the twin; not a stage of dvc.yaml.

No stage runs this and no change of code does: an operator starts it, and `dvc add`s the folder that it leaves. Initial
states come from the second half of the `rollout` range, for an evaluation of the `test` range (no stage trains on it),
from a place that the session's name stands for; stages count from the ranges' beginnings and never get that far.
"""

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from ocrrl import files
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.cells import Cell, session_cell
from ocrrl.interface.protocols import Abort, Policy, PolicyFault
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.interface.seeds import SEEDS_PER_RANGE, initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.lineage.reading.revision import git, git_refusal
from ocrrl.params import PARAMS_FILE, Params, chosen_cameras
from ocrrl.robot.cell.closing import closed_told, unclosed_told
from ocrrl.robot.cell.guarded_cell import NotFit, RobotCell
from ocrrl.robot.open_cell import logs_of, open_cell, reserved
from ocrrl.robot.operator.approval import Clock, NotApproved
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.operator.ending_signals import interrupted_by_signals, signals_held_back
from ocrrl.robot.operator.operator_prompt import obtain_approval
from ocrrl.robot.safety.fault_log import FAULTS, faults_told
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.evaluate import VARIANTS, PairedEvaluation, write_evaluation
from ocrrl.rollouts.interruptible_policy import InterruptiblePolicy
from ocrrl.rollouts.rollout import OPERATOR
from ocrrl.rollouts.rollout_recorder import RolloutRecorder, package_versions
from ocrrl.sessions.evaluation_session import counts, of_plan, pairs, to_run, told
from ocrrl.sessions.fit_models import require_images_of, require_measured, require_signed, require_trained_for
from ocrrl.sessions.session_folder import Run, SessionFolder, interventions_told
from ocrrl.sessions.stepping_in import intervener_in, opened_device, require_intervener
from ocrrl.stages.running import files_reserved
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_scene

MAX_EPISODES = 1000
TRACES = 3  # episodes of base + residual whose course `episodes.json` keeps, as the stage's default
NOBODY, NOT_NEEDED = "nobody", "not needed"
"""Operator and approval of a run in a cell where no robot moves."""
GOES_ON = "The same command with --session {session} continues it."
_EARLIER_SEEDS = SEEDS_PER_RANGE // 2


def run_session(options: argparse.Namespace, clock: Clock) -> int:
    """Run the episodes of the session that `options` name and that are not recorded yet; the exit code.

    1 where the operator ended it before they were all recorded, or the cell could not be closed as it should be, which
    is told last: neither costs anything of what was recorded.
    """
    cell, task = session_cell(options.cell), tabletop_task(options.tabletop_task)
    purpose, layout = options.command, Layout(task.slug, options.round)
    name = options.session or f"{datetime.fromtimestamp(clock(), UTC):%Y%m%dt%H%M%Sz}-{purpose}"
    folder = layout.session(cell.name, name)
    seed = ROLLED_OUT_SEED if options.seed is None else options.seed
    require_intervener(getattr(options, "intervene", None), cell)
    planned = planned_episodes(purpose, name, options.episodes)
    models = {
        _published(layout.vla("real"), f"finetune@{task.slug}-real"),
        _published(layout.residual(seed), f"train_residual@{task.slug}-{seed}"),
    }
    cameras = chosen_cameras()
    identity = {
        "purpose": purpose,
        "cell": cell.name,
        "stands_for": cell.stands_for,
        "tabletop_task": task.slug,
        "round": layout.round,
        "residual_seed": seed,
        "cameras": {name: list(size) for name, size in cameras.items()},
        "models": {str(path): files.fingerprint(path) for path in sorted(models)},
    }
    ended_early = ""
    alone = files_reserved(f"session {name} in {cell.name}", writes=[folder])
    with interrupted_by_signals(), reserved(cell), alone, unclosed_told(cell.name) as unclosed:
        session = SessionFolder(folder, identity)
        session.settle()
        missing = to_run(session.attempts, planned) if purpose == "evaluate" else session.missing(planned)
        if missing:
            try:
                _run_missing(options, session, missing, cell, task, layout, seed, clock, cameras, unclosed.append)
            except EndedByOperator as ended:
                ended_early = str(ended)
            except BaseException:
                if session.runs:
                    print(GOES_ON.format(session=session.folder.name))
                raise
        if purpose == "evaluate":
            _write_evaluation(session, cell, layout, seed, planned)
        faults = f", {session.faults} ended by a fault" if session.faults else ""
        counted = f"{session.recorded} episodes recorded, {session.successes} succeeded{faults}"
        print(f"{cell.name}, {cell.stands_for}: {counted}")
        if ended_early:
            print(f"It ended early: {ended_early}. {GOES_ON.format(session=session.folder.name)}")
        print(f"Next: dvc add {session.folder}")
    return int(bool(unclosed or ended_early))


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


def record_missing(
    session: SessionFolder,
    missing: Sequence[tuple[str, int]],
    cell: RobotCell,
    base: Policy,
    residuals: Mapping[str, AnyResidual | None],
    versions: Mapping[str, str],
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Run and record one episode after the other, each noted before it begins; `residuals` by variant.

    `ready` raises PolicyFault before an episode in which the base, or who steps in, could not act. One in mid-episode ends that
    episode as a fault.
    """
    for count, (variant, seed) in enumerate(missing, start=1):
        recorder = RolloutRecorder(cell, OPERATOR, cell.calibration(), versions, session.folder, policy=base)
        recorder.seeds = {seed}
        ready()
        attempt = session.begin(variant, seed)
        try:
            (outcome,) = run_episodes(cell, base, residuals[variant], [seed], recorder)
        except (NotApproved, NotFit):
            session.withdraw(attempt)
            raise
        except EndedByOperator as ended:
            session.end(attempt, str(ended), "operator")
            raise
        except PolicyFault as fault:  # the arm is at rest
            if not (unfinished := recorder.unfinished()):
                session.end(attempt, str(fault), None)
                raise
            with signals_held_back():
                session.keep(attempt, unfinished[seed], Abort("fault", str(fault)))
            print(f"episode {count} of {len(missing)} ({variant}): ended by a fault: {fault}", flush=True)
            continue
        except BaseException as error:  # Ctrl-C too: what was recorded is kept, then whoever waits is told
            why, unfinished = f"{type(error).__name__}: {error}".removesuffix(": "), recorder.unfinished()
            for episode in unfinished.values():
                session.keep_unfinished(attempt, episode, why)
            if not unfinished:
                session.end(attempt, why, None if isinstance(error, Exception) else "operator")
            raise
        with signals_held_back():
            session.keep(attempt, recorder.episodes.pop(seed), outcome.aborted)
        ending = "success" if outcome.success else "failure"
        why = f", ended by the {outcome.aborted.by}: {outcome.aborted.why}" if outcome.aborted else ""
        acted = f"{ending} after {outcome.steps} steps{interventions_told(attempt)}"
        print(f"episode {count} of {len(missing)} ({variant}): {acted}{why}", flush=True)


def _run_missing(
    options: argparse.Namespace,
    session: SessionFolder,
    missing: Sequence[tuple[str, int]],
    cell: Cell,
    task: TabletopTask,
    layout: Layout,
    seed: int,
    clock: Clock,
    cameras: CameraSizes,
    unclosed: Callable[[str], object],
) -> None:
    """`unclosed` gets what the cell said when it was closed, if it could not be."""
    from ocrrl.policies.async_chunked_policy import on_the_clock
    from ocrrl.policies.checkpoint import load_policy
    from ocrrl.policies.policy_type import expected_policies
    from ocrrl.policies.remote.remote_vla import RemoteVLA
    from ocrrl.residual.residual_policy import load_residual
    from ocrrl.robot.cell.checked_cell import check_cell
    from ocrrl.sessions.set_up_sheet import operator_beside

    # Whatever may be refused without an approval is, before anybody is asked for one.
    checked = check_cell(cell, options.cell_file, clock, cameras)
    if checked is not None and checked.file.signed_by:
        require_signed((layout.vla("real"), layout.residual(seed)), Path(checked.file.signed_by))
    expected = expected_policies(Params.read(), task.slug) if PARAMS_FILE.is_file() else None
    residual = load_residual(layout.residual(seed), task)
    require_images_of(cell, cameras, residual)
    base = load_policy(layout.vla("real"), task.instruction, 1, expected=expected, cameras=cameras)
    require_trained_for(base.delay, residual, layout.vla("real"), layout.residual(seed))
    remote = base.vla if isinstance(base.vla, RemoteVLA) else None
    if remote and cell.has_file:
        require_measured(layout.vla("real"))
    scene = make_scene(task.slug)
    with faults_told(logs_of(cell) / FAULTS, print), ExitStack() as opened:
        operator = operator_beside(cell, scene, checked, session.folder, opened)
        device, intervene = opened_device(options, opened, unclosed), getattr(options, "intervene", None)
        approval = obtain_approval(cell, session.folder.name, task.slug, len(missing), clock)
        versions = package_versions()
        revision = git(Path(), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
        if revision is None:
            print(f"the session is recorded without a git revision: {git_refusal(Path())}")
        world = open_cell(cell.name, scene, approval, clock, checked=checked, operator=operator, cameras=cameras)
        opened.enter_context(closed_told(world, unclosed))
        run: Run = {
            "started_utc": f"{datetime.fromtimestamp(clock(), UTC):%Y-%m-%dT%H:%M:%SZ}",
            "operator": approval.operator if approval else NOBODY,
            "approval": approval.nonce if approval else NOT_NEEDED,
            "episodes_approved": approval.episodes if approval else 0,
            "git_revision": revision and revision.strip(),
            "versions": versions,
        }
        if intervene:
            run["intervener"] = intervene
        session.begin_run(run)
        acting: Policy = opened.enter_context(on_the_clock(base)) if cell.has_file else base
        needed = [remote.ready] if remote else []
        if intervener := intervener_in(world, scene, intervene, device):
            acting = InterruptiblePolicy(acting, intervener, 1)
            needed.append(intervener.ready)
        residuals = {"corrected": residual, "residual": residual, "base": None}
        record_missing(session, missing, world, acting, residuals, versions, lambda: [ready() for ready in needed])


def _write_evaluation(
    session: SessionFolder, cell: Cell, layout: Layout, seed: int, planned: Sequence[tuple[str, int]]
) -> None:
    attempts = of_plan(session.attempts, planned)
    counted = [attempt for attempt in attempts if counts(attempt)]
    outcomes = [
        session.outcomes(attempt for attempt in counted if attempt["variant"] == variant) for variant in VARIANTS
    ]
    paired = set.intersection(*({outcome.seed for outcome in variant} for variant in outcomes))
    base, residual = ([outcome for outcome in variant if outcome.seed in paired] for variant in outcomes)
    account = pairs(attempts, planned, len(paired))
    for line in told(account, session.folder.name):
        print(f"{cell.name}: {line}")
    if not paired:
        print(f"{cell.name}: nothing to compare yet, no pair is complete")
        return
    evaluation = PairedEvaluation(cell.name, base, residual, pairs=account)
    where = session.folder / "evaluation.json"
    write_evaluation(where, session.folder, layout.tabletop_task, layout.round_number, seed, [evaluation], TRACES)
    rates = [sum(outcome.success for outcome in variant) / len(variant) for variant in (base, residual)]
    print(f"{cell.name}: base {rates[0]:.2f}, base + residual {rates[1]:.2f} of {len(base)} episodes")


def _published(model: Path, stage: str) -> Path:
    if not model.is_dir():
        raise FileNotFoundError(f"{model} must be there before a session; `dvc repro {stage}` makes it")
    return model
