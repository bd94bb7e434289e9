"""The geometric tracker on rendered RGB-D: every tracked object against its targets, errors by occlusion, CPU time.

`python -m benchmarks.tracking --first N` prints Markdown for held-out sequences (about 15 minutes on two cores). Choose an
N that `docs/tracking.md` does not name: a sequence that somebody looked at is no longer held out. `--split calibration`
runs on validation sequences and also prints the coefficients of `ocrrl/perception/tracking/confidence.py` fitted to them;
`--overlay FILE.png` draws one frame of each tabletop task. Errors are modulo symmetry; a sliding part's error is along its
slide. No real camera took part.
"""

import argparse
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm

from benchmarks.tracking_overlay import draw_overlay
from benchmarks.tracking_sequences import KINDS, Seen, sequence
from benchmarks.tracking_tables import Row, error_table, errors, verdicts
from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.tracking.confidence import FEATURES, NEAR_POSITION, NEAR_ROTATION, features
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.registration import LEAST_PIXELS_TRACKED
from ocrrl.perception.tracking.geometric_tracker import GeometricTracker
from ocrrl.perception.tracking.verifier import PoseVerifier
from ocrrl.tabletop.registry import shapes_of, slugs, tabletop_task

SPLITS = {"calibration": "validation", "held-out": "tracking"}
OVERLAY_FRAME = 30
ASTRAY_EVERY = 3  # frames


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


def fit_coefficients(
    features: Float[np.ndarray, "n F"], near: Bool[np.ndarray, " n"], weight_decay: float = 1.0
) -> Float[np.ndarray, " F"]:
    """The coefficients under which poses that were `near` are likeliest: Newton's steps of a logistic regression.

    ValueError where all or none were near: nothing can be told apart then.
    """
    if near.all() or not near.any():
        raise ValueError(
            f"coefficients need poses that were near and others that were not, got {near.sum()} of {len(near)}"
        )
    coefficients = np.zeros(features.shape[1])
    decay = weight_decay * np.eye(features.shape[1])
    decay[0, 0] = 0.0
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(features @ coefficients, -30.0, 30.0)))
        gradient = features.T @ (near - p) - decay @ coefficients
        curvature = (features * (p * (1.0 - p))[:, None]).T @ features + decay
        step = np.linalg.solve(curvature, gradient)
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-8:
            break
    return coefficients


def coefficients_of(rows: list[Row], astray: list[tuple[np.ndarray, bool]]) -> str:
    """The coefficients fitted to these rows and poses, as `ocrrl/perception/tracking/confidence.py` wants them."""
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
    verifier, bodies = PoseVerifier(shapes_of(task), FR3), [Body(shape) for shape in shapes_of(task).values()]
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
    """An image of what the tracker sees in one frame of each tabletop task."""
    images = []
    for slug in slugs:
        task = tabletop_task(slug)
        tracker = GeometricTracker(task, FR3)
        for k, seen in enumerate(sequence(slug, "demonstration", initial_state_seeds(SPLITS[split], 1)[0])):
            estimate = tracker.track(seen.frame, seen.robot)
            if k == OVERLAY_FRAME:
                images.append(draw_overlay(seen.frame, shapes_of(task), estimate))
                break
    cv2.imwrite(str(file), cv2.cvtColor(np.concatenate(images, axis=1), cv2.COLOR_RGB2BGR))


def _compile() -> None:
    """Keep the time that compilation takes out of the frames' times."""
    for slug in slugs():
        rows_of(tabletop_task(slug), KINDS[0], 0, islice(sequence(slug, KINDS[0], 0), 3))


def _tracked(job: tuple[str, str, int]) -> list[Row]:
    slug, kind, seed = job
    return rows_of(tabletop_task(slug), kind, seed, sequence(slug, kind, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=tuple(SPLITS), default="held-out")
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=slugs())
    parser.add_argument("--sequences", type=int, default=20, help="seeds a tabletop task, of each kind of sequence")
    parser.add_argument("--first", type=int, default=0, help="seed of the split to begin with")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--overlay", type=Path, help="write an image instead")
    arguments = parser.parse_args()
    if arguments.overlay is not None:
        write_overlay(arguments.overlay, tuple(arguments.tasks), arguments.split)
        return
    seeds = initial_state_seeds(SPLITS[arguments.split], arguments.sequences, arguments.first)
    sequences = [(slug, kind, seed) for slug in arguments.tasks for kind in KINDS for seed in seeds]
    with ProcessPoolExecutor(arguments.processes, get_context("spawn"), _compile) as pool:
        found = tqdm(pool.map(_tracked, sequences), total=len(sequences), desc="sequences")
        rows = [row for tracked in found for row in tracked]
    print(f"# Tracking, {arguments.split} sequences {seeds[0]} to {seeds[-1]}, rendered in the twin\n")
    print(verdicts(rows), error_table([row for row in rows if row.kind != "others only"]), sep="\n\n")
    if arguments.split == "calibration":
        shown = [(tabletop_task(slug), seed) for slug in arguments.tasks for seed in seeds]
        astray = [pair for task, seed in shown for pair in fits_astray(task, seed, sequence(task.slug, KINDS[0], seed))]
        print("", coefficients_of(rows, astray), sep="\n")


if __name__ == "__main__":
    main()
