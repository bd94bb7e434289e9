"""What a person's interventions buy: the VLA alone, retrained without and with them, in the twin, from the same held-out states.

    dvc repro finetune@cube_lift-real replay@cube_lift
    python -m benchmarks.interventions measure --task cube_lift --out benchmarks/recorded/interventions.json
    python -m benchmarks.interventions table --out benchmarks/recorded/interventions.json

The VLA alone attempts the same initial states twice: by itself, and with a script that steps in where progress stalls
(`ocrrl.robot.teleoperation.scripted_intervener`). Copies of it are retrained with equal optimiser steps, on the demonstrations
and the successes of the one or the other. As controls, on further demonstrations from those initial states instead: as many as
there are successes with interventions, and as many as take the demonstrator no more steps than the interventions did. Each unit is
written when it is finished and is not run again. The script is no person, and the twin no robot.
"""

import argparse
import json
import time
from collections.abc import Sequence
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
from ocrrl.rollouts.record import collect_episodes
from ocrrl.rollouts.rollout import attempt_batch
from ocrrl.rollouts.rollout_recorder import RolloutRecorder, package_versions
from ocrrl.rollouts.statistics import rate_difference, success_summary
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_scene, make_teleoperator, make_twin

OUT = Path("benchmarks/recorded/interventions.json")
WORK = Path(".work/interventions")
EPISODES = {
    "alone": "the VLA alone",
    "stepped_in": "the script may step in",
    "demonstrated": "demonstrated instead, as many episodes",
    "demonstrated_as_long": "demonstrated instead, as many steps by hand",
}
"""What training sets are made of, beside the demonstrations."""
VARIANTS = {
    "before": "the VLA before",
    "alone": "retrained without interventions",
    "stepped_in": "retrained with them",
    "demonstrated": "retrained on as many more demonstrations",
    "demonstrated_as_long": "retrained on more demonstrations, as many steps by hand",
}


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
    for kind in EPISODES:
        unit = f"{task.slug} rollouts {kind} {options.attempts}"
        if unit not in recorded or not _folder(task, kind, options).is_dir():
            collect(task, kind, options, unit, recorded)
    for variant in VARIANTS:
        unit = unit_name(task.slug, variant, str(options.attempts), options.weight)
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
    if kind.startswith("demonstrated"):
        return demonstrate(task, kind, options, unit, recorded)
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
    keep(episodes, _folder(task, kind, options))
    stepped_in = {str(e.attributes.seed): e.interventions() for e in episodes if e.interventions()}
    record_unit(options.out, recorded, unit, outcomes, interventions=stepped_in)


def demonstrate(task: TabletopTask, kind: str, options: argparse.Namespace, unit: str, recorded: Units) -> None:
    """Demonstrations from the first of the initial states, until as many succeeded, or took as many steps, as `kind` says."""
    stepped_in = recorded[f"{task.slug} rollouts stepped_in {options.attempts}"]
    by_hand = sum(stop - first for spans in stepped_in["interventions"].values() for first, stop in spans)
    environment = make_twin(task.slug, PARALLEL, Params.read().cameras)
    demonstrator, seeds = make_teleoperator(task.slug, environment), initial_state_seeds("rollout", options.attempts)
    calibration, versions = environment.calibration(), package_versions()
    demonstrations = collect_episodes(environment, demonstrator, list(seeds), "scripted", calibration, versions)
    episodes: list[Episode] = []
    for episode in demonstrations:
        steps = sum(len(one) for one in [*episodes, episode])
        successes = sum(one.attributes.success for one in episodes)
        if steps > by_hand if kind == "demonstrated_as_long" else successes == sum(stepped_in["success"]):
            break
        episodes.append(episode)
    keep(episodes, _folder(task, kind, options))
    outcomes = [EpisodeOutcome(e.attributes.seed or 0, e.attributes.success, len(e), 0.0) for e in episodes]
    whole = {str(outcome.seed): [(0, outcome.steps)] for outcome in outcomes}
    record_unit(options.out, recorded, unit, outcomes, interventions=whole)


def unit_name(slug: str, variant: str, attempts: str, weight: float = 1.0) -> str:
    return f"{slug} {variant} {attempts}" + (f" weight {weight:g}" if variant == "stepped_in" else "")


def keep(episodes: Sequence[Episode], folder: Path) -> None:
    """Write those that succeeded into `folder`."""
    work = files.fresh_folder(WORK / "unfinished")
    for episode in episodes:
        if episode.attributes.success:
            write_episode(work / f"episode_{episode.attributes.seed}.h5", episode)
    files.publish(work, folder)


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
    order = list(EPISODES)
    units = [unit for unit in recorded if " rollouts " in unit]
    for unit in sorted(units, key=lambda unit: (unit.split(" ")[0], order.index(unit.split(" ")[2]))):
        slug, _, kind, _ = unit.split(" ")
        found = recorded[unit]
        spans = found["interventions"]
        steps = sum(found["steps"])
        by_hand = sum(stop - first for of_episode in spans.values() for first, stop in of_episode)
        first = sorted(of_episode[0][0] for of_episode in spans.values())
        rows.append(
            (
                slug,
                EPISODES[kind],
                str(len(found["success"])),
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
        earlier = order[: order.index(variant)]
        differences = [
            points(dict(rate_difference(outcomes_of(recorded[reference]), outcomes_of(found))))
            if other in earlier and reference in recorded
            else "–"
            for other in ("before", "alone", "stepped_in")
            for reference in [unit_name(slug, other, attempts)]
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
        "minus with them",
    )
    return Table(header, rows, 2)


def _folder(task: TabletopTask, kind: str, options: argparse.Namespace) -> Path:
    return WORK / f"{task.slug}-{kind}-{options.attempts}"


if __name__ == "__main__":
    main()
