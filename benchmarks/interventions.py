"""What a person's interventions buy: the VLA alone, retrained without and with them, in the twin, from the same held-out states.

    dvc repro finetune@cube_lift-real replay@cube_lift
    python -m benchmarks.interventions measure --task cube_lift --out benchmarks/recorded/interventions.json
    python -m benchmarks.interventions table --out benchmarks/recorded/interventions.json

The VLA alone attempts the same initial states twice: by itself, and with a script that steps in where progress stalls
(`ocrrl.robot.teleoperation.scripted_intervener`). Two copies of it are retrained with equal optimiser steps, on the demonstrations
and the successes of the one or the other. Each unit is written when it is finished and is not run again. The script is no person,
and the twin no robot.
"""

import argparse
import json
import time
from pathlib import Path

from benchmarks.recorded_units import PARALLEL, Units, outcomes_of, read_units, record_unit
from ocrrl import files
from ocrrl.episodes.episode_store import write_episode
from ocrrl.episodes.ingested import ingested_files
from ocrrl.interface.episode import Episode
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.policies.checkpoint import load_policy
from ocrrl.policies.finetune import finetune
from ocrrl.policies.training_data import TrainingData
from ocrrl.recordings.training_set import TrainingSetConfig, build_training_set
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import percent, points, seconds
from ocrrl.robot.teleoperation.scripted_intervener import ScriptedIntervener
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.interruptible_policy import InterruptiblePolicy
from ocrrl.rollouts.rollout import attempt_batch
from ocrrl.rollouts.rollout_recorder import RolloutRecorder, package_versions
from ocrrl.rollouts.statistics import rate_difference, success_summary
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_scene, make_teleoperator, make_twin

OUT = Path("benchmarks/recorded/interventions.json")
WORK = Path(".work/interventions")
ROLLOUTS = ("alone", "stepped_in")
"""The attempts that training sets are made of, by whether somebody could step in."""
VARIANTS = {"before": "the VLA before", "alone": "retrained without interventions", "stepped_in": "retrained with them"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("measure", "table"))
    parser.add_argument("--task", default="cube_lift")
    parser.add_argument("--attempts", type=int, default=50, help="initial states that are rolled out, each twice")
    parser.add_argument("--weight", type=float, default=1.0, help="training_set.intervention_weight")
    parser.add_argument("--episodes", type=int, default=100, help="held-out initial states")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    recorded = read_units(options.out)
    if options.what == "measure":
        measure(tabletop_task(options.task), options, recorded)
    else:
        print(markdown_table(rollouts_table(recorded)), markdown_table(table(recorded)), sep="\n")


def measure(task: TabletopTask, options: argparse.Namespace, recorded: Units) -> None:
    """Run what `recorded` lacks."""
    begun = time.process_time()
    for kind in ROLLOUTS:
        unit = f"{task.slug} rollouts {kind} {options.attempts}"
        if unit not in recorded or not _folder(task, kind, options).is_dir():
            collect(task, kind, options, unit, recorded)
    for variant in VARIANTS:
        weighted = f" weight {options.weight:g}" if variant == "stepped_in" else ""
        unit = f"{task.slug} {variant} {options.attempts}{weighted}"
        if unit in recorded:
            continue
        vla = Layout(task.slug).vla("real") if variant == "before" else retrained(task, variant, options)
        base = load_policy(vla, task.instruction, PARALLEL)
        seeds = initial_state_seeds("test", options.episodes)
        outcomes = run_episodes(make_twin(task.slug, PARALLEL, Params.read().cameras), base, None, seeds)
        record_unit(options.out, recorded, unit, outcomes)
    print(f"{time.process_time() - begun:.0f} s of processor time")


def collect(task: TabletopTask, kind: str, options: argparse.Namespace, unit: str, recorded: Units) -> None:
    """The attempts of one `kind`; their successful episodes into its folder."""
    environment = make_twin(task.slug, PARALLEL, Params.read().cameras)
    base = load_policy(Layout(task.slug).vla("real"), task.instruction, PARALLEL)
    outcomes: list[EpisodeOutcome] = []
    episodes: list[Episode] = []
    seeds = initial_state_seeds("rollout", options.attempts)
    for first in range(0, len(seeds), PARALLEL):
        batch = list(seeds[first : first + PARALLEL])
        if kind == "alone":
            tried = attempt_batch(environment, base, None, batch, len(batch), environment.calibration())
            outcomes += [outcome for outcome, _ in tried]
            episodes += [episode for _, episode in tried if episode is not None]
            continue
        person = ScriptedIntervener(environment, make_scene(task.slug), make_teleoperator(task.slug, environment))
        watched = InterruptiblePolicy(base, person, PARALLEL)
        recorder = RolloutRecorder(environment, "policy", environment.calibration(), package_versions(), policy=watched)
        recorder.seeds = batch
        outcomes += run_episodes(environment, watched, None, batch, recorder)
        episodes += [recorder.episodes[seed] for seed in batch]
    work = files.fresh_folder(WORK / "unfinished")
    for episode in episodes:
        if episode.attributes.success:
            write_episode(work / f"episode_{episode.attributes.seed}.h5", episode)
    files.publish(work, _folder(task, kind, options))
    stepped_in = {str(e.attributes.seed): e.interventions() for e in episodes if e.interventions()}
    record_unit(options.out, recorded, unit, outcomes, interventions=stepped_in)


def retrained(task: TabletopTask, kind: str, options: argparse.Namespace) -> Path:
    """The real VLA, retrained as the stage does on the demonstrations and the successful episodes of `kind`."""
    layout, params = Layout(task.slug), Params.read()
    folder = _folder(task, kind, options)
    name = f"{folder.name}-{options.weight:g}"
    vla, dataset = WORK / f"vla-{name}", WORK / f"set-{name}"
    if vla.is_dir():
        return vla
    kept = set(json.loads(layout.accepted_replays.read_text()))
    accepted = ingested_files(params.episodes_folder(task.slug), layout.normalised_episodes, layout.ingest_report)
    demonstrations = [pair for pair in accepted if pair[0] in kept]
    rollouts = [(f"{kind}/{path.name}", path) for path in sorted(folder.glob("*.h5"))]
    config = TrainingSetConfig(intervention_weight=options.weight)
    build_training_set(demonstrations, rollouts, dataset, task, config, cameras=params.cameras)
    finetune(
        [TrainingData(dataset)],
        vla,
        WORK / f"unfinished-{name}",
        params.config("retrain", task.slug),
        init_from=layout.vla("real"),
        progress=False,
    )
    return vla


def rollouts_table(recorded: Units) -> Table:
    """How often and when the script stepped in, and how many of the attempts succeeded without and with it."""
    rows = []
    for unit, found in recorded.items():
        slug, what, kind, attempts = unit.split(" ")[:4] if " rollouts " in unit else ("", "", "", "")
        if not what:
            continue
        spans = found["interventions"]
        steps = sum(found["steps"])
        by_hand = sum(stop - first for of_episode in spans.values() for first, stop in of_episode)
        first = sorted(of_episode[0][0] for of_episode in spans.values())
        rows.append(
            (
                slug,
                "the script may step in" if kind == "stepped_in" else "the VLA alone",
                attempts,
                str(sum(found["success"])),
                str(len(spans)),
                str(sum(map(len, spans.values()))),
                percent(by_hand / steps),
                seconds(first[len(first) // 2]) if first else "–",
            )
        )
    columns = (
        "attempts",
        "successes",
        "episodes with an intervention",
        "interventions",
        "steps by hand",
        "first at (median)",
    )
    return Table(("task", "rollouts", *columns), rows, 2)


def table(recorded: Units) -> Table:
    """A row for each VLA: success, and the paired differences from the one before and the one without interventions."""
    rows = []
    order = list(VARIANTS)
    units = [unit for unit in recorded if unit.split(" ")[1] in order]
    for unit in sorted(units, key=lambda unit: (unit.split(" ")[0], order.index(unit.split(" ")[1]))):
        slug, variant, attempts, *weight = unit.split(" ")
        found = recorded[unit]
        others = order[: order.index(variant)]
        references = {other: recorded.get(f"{slug} {other} {attempts}") for other in others}
        differences = [
            points(dict(rate_difference(outcomes_of(reference), outcomes_of(found)))) if reference else "–"
            for reference in (references.get(other) for other in ("before", "alone"))
        ]
        summary = success_summary(outcomes_of(found))
        interval = f"[{percent(summary['wilson_low'])}, {percent(summary['wilson_high'])}]"
        label = VARIANTS[variant] + (f", {' '.join(weight)}" if weight else "")
        rate = percent(summary["success_rate"])
        rows.append((slug, label, attempts, str(summary["episodes"]), rate, interval, *differences))
    header = (
        "task",
        "VLA alone",
        "attempts",
        "held-out states",
        "success",
        "95% interval",
        "minus before",
        "minus without",
    )
    return Table(header, rows, 2)


def _folder(task: TabletopTask, kind: str, options: argparse.Namespace) -> Path:
    return WORK / f"{task.slug}-{kind}-{options.attempts}"


if __name__ == "__main__":
    main()
