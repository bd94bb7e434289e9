"""Sessions: `rollout` and `evaluate` in a cell other than the twin; not a stage of dvc.yaml.

No stage runs this and no change of code does: an operator starts it, and `dvc add`s the folder that it leaves. Initial
states come from the second half of the `rollout` range, for an evaluation of the `test` range (no stage trains on it),
from a place that the session's name stands for; stages count from the ranges' beginnings and never get that far.
An evaluation until decided is a session in the twin too.
"""

import argparse
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from ocrrl import files
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.cells import STAGES_CELL, Cell, cell_named, session_cell
from ocrrl.interface.protocols import Policy
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import ROLLED_OUT_SEED, Layout
from ocrrl.lineage.reading.revision import git, git_refusal
from ocrrl.params import PARAMS_FILE, Params, chosen_cameras
from ocrrl.robot.cell.closing import closed_told, unclosed_told
from ocrrl.robot.open_cell import logs_of, open_cell, reserved
from ocrrl.robot.operator.approval import Clock
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.operator.ending_signals import interrupted_by_signals
from ocrrl.robot.operator.operator_prompt import obtain_approval
from ocrrl.robot.safety.fault_log import FAULTS, faults_told
from ocrrl.rollouts.interruptible_policy import InterruptiblePolicy
from ocrrl.rollouts.rollout_recorder import package_versions
from ocrrl.sessions.fit_models import require_images_of, require_measured, require_signed, require_trained_for
from ocrrl.sessions.record_episodes import Acting, record_episodes
from ocrrl.sessions.schedule import FixedSchedule, Schedule, planned_episodes
from ocrrl.sessions.sequential_session import BLIND, RandomHex, sequential_session
from ocrrl.sessions.session_folder import Run, SessionFolder
from ocrrl.sessions.start_check import start_check
from ocrrl.sessions.stepping_in import intervener_in, opened_device, require_intervener
from ocrrl.stages.running import files_reserved
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_scene

NOBODY, NOT_NEEDED = "nobody", "not needed"
"""Operator and approval of a run in a cell where no robot moves."""
GOES_ON = "The same command with --session {session} continues it."


def run_session(options: argparse.Namespace, clock: Clock, random_hex: RandomHex = secrets.token_hex) -> int:
    """Run the episodes of the session that `options` name and that are not recorded yet; the exit code.

    1 where the operator ended it before they were all recorded, or the cell could not be closed as it should be, which
    is told last: neither costs anything of what was recorded. `random_hex` gives so many random bytes as hex digits.
    """
    until_decided = getattr(options, "until", None) is not None
    cell = cell_named(options.cell or STAGES_CELL) if until_decided else session_cell(options.cell)
    task = tabletop_task(options.tabletop_task)
    purpose, layout = options.command, Layout(task.slug, options.round)
    name = options.session or f"{datetime.fromtimestamp(clock(), UTC):%Y%m%dt%H%M%Sz}-{purpose}"
    folder = layout.session(cell.name, name)
    seed = ROLLED_OUT_SEED if options.seed is None else options.seed
    require_intervener(getattr(options, "intervene", None), cell)
    planned = None if until_decided else planned_episodes(purpose, name, options.episodes)
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
        if planned is None:
            schedule: Schedule = sequential_session(
                folder, identity, options.episodes, random_hex, options.level, options.least_effect
            )
        else:
            schedule = FixedSchedule(SessionFolder(folder, identity), planned, layout)
        session = schedule.session
        session.settle()
        if schedule.most:
            try:
                _run_missing(options, schedule, cell, task, layout, seed, clock, cameras, unclosed.append)
            except EndedByOperator as ended:
                ended_early = str(ended)
            except BaseException:
                if session.runs:
                    print(GOES_ON.format(session=session.folder.name))
                raise
        schedule.conclude(_utc(clock))
        faults = f", {session.faults} ended by a fault" if session.faults else ""
        counted = f"{session.recorded} episodes recorded, {session.successes} succeeded{faults}"
        print(f"{cell.name}, {cell.stands_for}: {counted}")
        if ended_early:
            print(f"It ended early: {ended_early}. {GOES_ON.format(session=session.folder.name)}")
        print(f"Next: dvc add {session.folder}")
    return int(bool(unclosed or ended_early))


def _run_missing(
    options: argparse.Namespace,
    schedule: Schedule,
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
    scene, session, plan = make_scene(task.slug), schedule.session, schedule.plan
    with faults_told(logs_of(cell) / FAULTS, print), ExitStack() as opened:
        operator = operator_beside(cell, scene, checked, session.folder, opened)
        device, intervene = opened_device(options, opened, unclosed), getattr(options, "intervene", None)
        purpose = "" if plan is None else BLIND
        approval = obtain_approval(cell, session.folder.name, task.slug, schedule.most, clock, purpose)
        versions = package_versions()
        revision = git(Path(), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
        if revision is None:
            print(f"the session is recorded without a git revision: {git_refusal(Path())}")
        world = open_cell(cell.name, scene, approval, clock, checked=checked, operator=operator, cameras=cameras)
        opened.enter_context(closed_told(world, unclosed))
        run: Run = {
            "started_utc": _utc(clock),
            "operator": approval.operator if approval else NOBODY,
            "approval": approval.nonce if approval else NOT_NEEDED,
            "episodes_approved": approval.episodes if approval else 0,
            "git_revision": revision and revision.strip(),
            "versions": versions,
        }
        if intervene:
            run["intervener"] = intervene
        if plan is not None:
            run["plan"] = plan.sha256
        schedule.begin()
        session.begin_run(run)
        policy: Policy = opened.enter_context(on_the_clock(base)) if cell.has_file else base
        needed = [remote.ready] if remote else []
        if intervener := intervener_in(world, scene, intervene, device):
            policy = InterruptiblePolicy(policy, intervener, 1)
            needed.append(intervener.ready)
        acting = Acting(
            policy,
            {"corrected": residual, "residual": residual, "base": None},
            versions,
            lambda: [ready() for ready in needed],
            plan.sha256 if plan else None,
            start_check(scene, plan.start_tolerance) if plan else None,
        )
        record_episodes(session, schedule.episodes(), world, acting)


def _utc(clock: Clock) -> str:
    return f"{datetime.fromtimestamp(clock(), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _published(model: Path, stage: str) -> Path:
    if not model.is_dir():
        raise FileNotFoundError(f"{model} must be there before a session; `dvc repro {stage}` makes it")
    return model
