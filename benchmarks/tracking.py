"""The geometric tracker on rendered RGB-D: errors by occlusion, confidence, distractors, recovery, time on one core.

`python -m benchmarks.tracking` prints Markdown for sequences that nothing was tuned on; `--split calibration` shows other ones and
the coefficients of `ocrrl/perception/confidence.py` fitted to them; `--overlay FILE.png` draws one frame a tabletop task.
Errors are modulo symmetry; a sliding part's is along its slide. Sequences are rendered in the twin: no real camera took part.
"""

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.tracking_sequences import KINDS, Seen, sequence
from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TABLETOP_TASKS, TabletopTask, TrackedObject, tabletop_task
from ocrrl.perception.confidence import FEATURES, NEAR_POSITION, NEAR_ROTATION, features, fit_coefficients
from ocrrl.perception.geometric_tracker import GeometricTracker
from ocrrl.perception.object_shapes import shapes_of
from ocrrl.perception.overlay import draw_overlay
from ocrrl.perception.pose_fit import Body
from ocrrl.perception.registration import LEAST_PIXELS_TRACKED
from ocrrl.perception.verifier import PoseVerifier

SPLITS = {"calibration": "validation", "held-out": "test"}
BANDS = ((0.0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01))
WRONG_OBJECT = 0.03  # [m] from the truth: it is something else
HIDDEN, SEEN_AGAIN = 0.9, 0.3  # occlusion
RECOVERY = 0.5  # [s]
OVERLAY_FRAME = 30
ASTRAY_EVERY = 3  # frames


@dataclass(frozen=True)
class Row:
    """One object in one frame."""

    slug: str
    name: str
    kind: str
    seed: int
    frame: int
    occlusion: float
    position_error: float
    """[m]"""
    rotation_error: float
    """[rad]"""
    confidence: float
    features: np.ndarray | None
    milliseconds: float
    """Of the whole frame, CPU time of this thread."""

    @property
    def near(self) -> bool:
        return self.position_error < NEAR_POSITION and self.rotation_error < NEAR_ROTATION

    @property
    def accepted(self) -> bool:
        return self.confidence >= CONFIDENCE_THRESHOLD


def errors(tracked: TrackedObject, estimate: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Position [m] and rotation [rad] errors of a pose (7,), modulo the object's symmetry."""
    offset = estimate[:3] - truth[:3]
    if tracked.slide_axis is not None:
        offset = rotations.rotate(truth[3:], np.asarray(tracked.slide_axis)) @ offset
    equivalents = rotations.multiply(estimate[None, 3:], np.asarray(tracked.symmetry))
    angle = float(rotations.angle_between(equivalents, truth[None, 3:]).min())
    if len(tracked.symmetry) == 36:  # a body of revolution has more equivalents than are listed
        axis = np.array([0.0, 0.0, 1.0])
        cosine = rotations.rotate(estimate[3:], axis) @ rotations.rotate(truth[3:], axis)
        angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return float(np.linalg.norm(offset)), angle


def rows_of(task: TabletopTask, kind: str, seed: int, frames: Iterable[Seen]) -> list[Row]:
    """The tracker's errors on one sequence."""
    tracker, rows = GeometricTracker(task, FR3), []
    for k, seen in enumerate(frames):
        start = time.thread_time()
        estimate = tracker.track(seen.frame, seen.robot)
        milliseconds = 1000.0 * (time.thread_time() - start)
        for index, tracked in enumerate(task.objects):
            off, turned = errors(tracked, estimate.poses[index], seen.poses[index])
            if kind == "others only":
                off = 1.0  # there is nothing to be right about
            rows.append(
                Row(
                    task.slug, tracked.name, kind, seed, k, float(seen.occlusion[index]), off, turned,
                    float(estimate.confidence[index]), tracker.features[index], milliseconds,
                )
            )  # fmt: skip
    return rows


def error_table(rows: list[Row]) -> str:
    """Markdown: errors, and who is accepted, by object and occlusion."""
    lines = [
        "| tabletop task, object | occlusion | frames | median [mm] | median [deg] | within 10 mm and 10 deg | accepted "
        "| bad among accepted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for slug, name in dict.fromkeys((row.slug, row.name) for row in rows):
        for low, high in BANDS:
            some = [r for r in rows if (r.slug, r.name) == (slug, name) and low <= r.occlusion < high]
            lines += [f"| {slug}, {name} | {low:.0%}-{min(high, 1.0):.0%} | {_figures(some)} |"] if some else []
    for low, high in BANDS:
        some = [r for r in rows if low <= r.occlusion < high]
        lines += [f"| **all** | {low:.0%}-{min(high, 1.0):.0%} | {_figures(some)} |"] if some else []
    return "\n".join(lines)


def _figures(rows: list[Row]) -> str:
    accepted = [row for row in rows if row.accepted]
    bad = f"{np.mean([not row.near for row in accepted]):.1%}" if accepted else "–"
    return (
        f"{len(rows)} | {1000 * np.median([r.position_error for r in rows]):.1f} "
        f"| {np.rad2deg(np.median([r.rotation_error for r in rows])):.1f} | {np.mean([r.near for r in rows]):.1%} "
        f"| {len(accepted) / len(rows):.0%} | {bad}"
    )


def recoveries(rows: list[Row]) -> list[float]:
    """Seconds from the frame in which an object that was hidden is seen again to the first good accepted pose."""
    found = []
    for key in dict.fromkeys((row.slug, row.name, row.seed) for row in rows if row.kind == "occluded"):
        track = [r for r in rows if (r.slug, r.name, r.seed) == key and r.kind == "occluded"]
        hidden = [r.frame for r in track if r.occlusion > HIDDEN]
        if not hidden:
            continue
        # The first time it is hidden is by what passes; the hand's own occlusion comes later.
        last = next(f for f in hidden if f + 1 not in hidden)
        again = [r for r in track if r.frame > last and r.occlusion < SEEN_AGAIN]
        good = [r.frame for r in again if r.near and r.accepted]
        if again:
            found.append((good[0] - again[0].frame) / CONTROL_HZ if good else np.inf)
    return found


def verdicts(rows: list[Row]) -> str:
    """Markdown: the figures that have targets."""
    present = [row for row in rows if row.kind != "others only"]
    clear, half = ([r for r in present if r.occlusion < limit] for limit in (0.3, 0.5))
    accepted = [row for row in present if row.accepted]
    beside = [row for row in rows if row.kind in KINDS[2:]]
    wrong = [row for row in beside if row.accepted and row.position_error > WRONG_OBJECT]
    recovered = recoveries(rows)
    frames = {(r.slug, r.kind, r.seed, r.frame): r.milliseconds for r in rows}
    first = [ms for (*_, frame), ms in frames.items() if frame == 0]
    later = [ms for (*_, frame), ms in frames.items() if frame > 0]
    table = (
        ("median error below 50% occlusion [mm]", 1000 * np.median([r.position_error for r in half]), "<= 2"),
        ("median error below 50% occlusion [deg]", np.rad2deg(np.median([r.rotation_error for r in half])), "<= 2"),
        ("within 10 mm and 10 deg below 30% occlusion [%]", 100 * np.mean([r.near for r in clear]), ">= 97"),
        ("bad among accepted [%]", 100 * np.mean([not r.near for r in accepted]), "<= 5"),
        (f"wrong object accepted [frames of {len(beside)}]", len(wrong), "0"),
        (
            f"recovered within {RECOVERY} s of {len(recovered)} full occlusions [%]",
            100 * np.mean(np.asarray(recovered) <= RECOVERY) if recovered else np.nan,
            ">= 90",
        ),
        ("CPU time a frame, median [ms]", np.median(later), "<= 5"),
        ("CPU time a frame, 90th percentile [ms]", np.percentile(later, 90), "<= 15"),
        ("CPU time to register, median [ms]", np.median(first), "<= 300"),
        ("CPU time to register, longest [ms]", np.max(first), "<= 300"),
    )
    lines = ["| figure | measured | target |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {value:.2f} | {target} |" for name, value, target in table])


def coefficients_of(rows: list[Row], astray: list[tuple[np.ndarray, bool]]) -> str:
    """The coefficients fitted to these rows and poses, as `ocrrl/perception/confidence.py` wants them."""
    known = [(row.features, row.near) for row in rows if row.features is not None] + astray
    fitted = fit_coefficients(np.stack([values for values, _ in known]), np.array([near for _, near in known]))
    bad = sum(not near for _, near in known)
    lines = [
        f"COEFFICIENTS = np.array({[round(float(value), 2) for value in fitted]})",
        f"from {len(known)} fits, {bad} bad",
    ]
    return "\n".join(lines + [f"{name:24s} {value:8.3f}" for name, value in zip(FEATURES, fitted, strict=True)])


def fits_astray(task: TabletopTask, seed: int, frames: Iterable[Seen]) -> list[tuple[np.ndarray, bool]]:
    """Features of poses refined from wrong ones, and whether they are near all the same: what a tracker must not believe."""
    generator, found = np.random.default_rng(seed), []
    verifier, bodies = PoseVerifier(shapes_of(task), FR3), [Body(shape) for shape in shapes_of(task)]
    for k, seen in enumerate(frames):
        if k % ASTRAY_EVERY:
            continue
        poses = seen.poses.copy()
        if k:  # the first frame's true poses teach the verifier the colours
            poses[:, :3] += generator.normal(size=(len(poses), 3)) * generator.uniform(0, 0.03, (len(poses), 1))
            turns = generator.normal(size=(len(poses), 3)) * generator.uniform(0, 0.6, (len(poses), 1))
            poses[:, 3:] = rotations.multiply(poses[:, 3:], rotations.from_rotation_vector(turns))
        for index, refined in enumerate(verifier.refined(seen.frame, seen.robot, poses)):
            if refined is not None and refined.agreement.agree >= LEAST_PIXELS_TRACKED:
                pose = np.concatenate([refined.position, rotations.from_matrix(refined.rotation)])
                off, turned = errors(task.objects[index], pose, seen.poses[index])
                found.append((features(bodies[index], refined), off < NEAR_POSITION and turned < NEAR_ROTATION))
    return found


def write_overlay(file: Path, slugs: tuple[str, ...], split: str) -> None:
    """A picture of what the tracker sees in one frame of each tabletop task."""
    pictures = []
    for slug in slugs:
        task = tabletop_task(slug)
        tracker = GeometricTracker(task, FR3)
        for k, seen in enumerate(sequence(slug, "demonstration", initial_state_seeds(SPLITS[split], 1)[0])):
            estimate = tracker.track(seen.frame, seen.robot)
            if k == OVERLAY_FRAME:
                pictures.append(draw_overlay(seen.frame, shapes_of(task), [o.name for o in task.objects], estimate))
                break
    cv2.imwrite(str(file), cv2.cvtColor(np.concatenate(pictures, axis=1), cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=tuple(SPLITS), default="held-out")
    parser.add_argument("--tasks", nargs="+", choices=tuple(TABLETOP_TASKS), default=tuple(TABLETOP_TASKS))
    parser.add_argument("--sequences", type=int, default=4, help="of every kind, a tabletop task")
    parser.add_argument("--first", type=int, default=0, help="seed of the split to begin with")
    parser.add_argument("--overlay", type=Path, help="write a picture instead")
    arguments = parser.parse_args()
    if arguments.overlay is not None:
        write_overlay(arguments.overlay, tuple(arguments.tasks), arguments.split)
        return
    seeds = initial_state_seeds(SPLITS[arguments.split], arguments.sequences, arguments.first)
    list(rows_of(tabletop_task("cube_lift"), KINDS[3], 0, sequence("cube_lift", KINDS[3], 0)))  # compiles
    rows = [
        row
        for slug in arguments.tasks
        for kind in KINDS
        for seed in seeds
        for row in rows_of(tabletop_task(slug), kind, seed, sequence(slug, kind, seed))
    ]
    print(f"# Tracking, {arguments.split} sequences {seeds[0]} to {seeds[-1]}, rendered in the twin\n")
    print(verdicts(rows), error_table([row for row in rows if row.kind != "others only"]), sep="\n\n")
    if arguments.split == "calibration":
        shown = [(tabletop_task(slug), seed) for slug in arguments.tasks for seed in seeds]
        astray = [pair for task, seed in shown for pair in fits_astray(task, seed, sequence(task.slug, KINDS[0], seed))]
        print("", coefficients_of(rows, astray), sep="\n")


if __name__ == "__main__":
    main()
