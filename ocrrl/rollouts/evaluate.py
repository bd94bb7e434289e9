"""`evaluate`: base and base + residual from the same held-out initial states; the environment decides success.

A variant is `base` or `residual` (base + residual). Seeds are of the test range, so that nothing was selected on them.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ocrrl import files
from ocrrl.interface.devices import require_device
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, Environment, Policy, StepResult
from ocrrl.interface.residual_observations import AnyResidual
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome, EpisodeTrace
from ocrrl.rollouts.repeat import repeat_episodes
from ocrrl.rollouts.residual_alignment import alignment_by_base
from ocrrl.rollouts.statistics import paired_counts, rate_difference, steps_difference, success_summary

VARIANTS = ("base", "residual")
Frames = UInt8[np.ndarray, "T H W 3"]


@dataclass(frozen=True)
class EvaluateConfig:
    """How many initial states, and what of single episodes is kept for the report."""

    episodes: int = 100
    num_envs: int = 25
    traces: int = 3
    """Episodes of base + residual whose course is kept."""
    videos: int = 2
    """Initial states for which both variants get a video."""
    device: str = "auto"

    def __post_init__(self) -> None:
        require_device(self.device)
        for name, least in (("episodes", 1), ("num_envs", 1), ("traces", 0), ("videos", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


@dataclass(frozen=True)
class PairedEvaluation:
    """Both variants in one cell, from the same initial states in the same order, with traces."""

    cell: str
    base: list[EpisodeOutcome]
    residual: list[EpisodeOutcome]
    videos: dict[str, Frames] = field(default_factory=dict)
    """By `<variant>_<seed>`."""
    pairs: Mapping[str, Any] | None = None
    """What became of the initial states, where not all that were planned can be compared; None where all are."""
    sequential: Mapping[str, Any] | None = None
    """Verdict and plan of an evaluation until decided; None where the number of episodes was fixed."""

    def metrics(self) -> dict[str, Any]:
        """The cell's entry in the metrics file."""
        measured: dict[str, Any] = {
            "base": success_summary(self.base),
            "residual": success_summary(self.residual),
            "paired": paired_counts(self.base, self.residual),
            "difference": rate_difference(self.base, self.residual),
            "steps_difference": steps_difference(self.base, self.residual),
            "alignment": alignment_by_base(self.residual),
        }
        of_session = {"pairs": self.pairs, "sequential": self.sequential}
        return measured | {name: dict(value) for name, value in of_session.items() if value is not None}

    def do_no_harm(self) -> list[int]:
        """The seeds where the base succeeded and base + residual did not."""
        return [b.seed for b, r in zip(self.base, self.residual, strict=True) if b.success and not r.success]

    def episodes(self, traces: int) -> dict[str, Any]:
        """Single episodes, for the report; `traces` of base + residual are kept whole."""
        kept = set(telling_seeds(self.base, self.residual, traces))
        return {
            "episodes": [
                {
                    "seed": b.seed,
                    "base_success": b.success,
                    "base_steps": b.steps,
                    "residual_success": r.success,
                    "residual_steps": r.steps,
                }
                for b, r in zip(self.base, self.residual, strict=True)
            ],
            "do_no_harm": self.do_no_harm(),
            "traces": [_described(outcome) for outcome in self.residual if outcome.seed in kept],
        }


def evaluate_pair(
    environment: Environment,
    base: Policy,
    residual: AnyResidual,
    seeds: Sequence[int],
    videos: int = 0,
    video_capture: Capture | None = None,
) -> PairedEvaluation:
    """Both variants from the initial states `seeds`; raises ValueError when there are none.

    `videos` initial states of the first batch are run once more for videos, so this asks for a cell that gives the same
    episode for the same seed; raises RuntimeError when it does not.
    """
    if len(seeds) == 0:
        raise ValueError("seeds must hold at least one initial state, got none")
    alone, corrected = (run_episodes(environment, base, change, seeds, keep_traces=True) for change in (None, residual))
    batch = slice(environment.num_envs)
    taken = take_videos(environment, alone[batch], corrected[batch], videos, video_capture) if videos else {}
    return PairedEvaluation(environment.cell, alone, corrected, taken)


def take_videos(
    environment: Environment,
    base: Sequence[EpisodeOutcome],
    residual: Sequence[EpisodeOutcome],
    videos: int,
    capture: Capture | None = None,
) -> dict[str, Frames]:
    """Videos by `<variant>_<seed>` of the most telling `videos` initial states, whose episodes with traces are run once more.

    `capture` takes their images in place of the policy's. Raises RuntimeError for a cell that does not repeat its episodes.
    """
    chosen, taken = telling_seeds(base, residual, videos), dict[str, Frames]()
    for variant, outcomes in zip(VARIANTS, (base, residual), strict=True):
        video = VideoRecorder(chosen, capture)
        corrected = variant == "residual"
        repeat_episodes(environment, [outcome for outcome in outcomes if outcome.seed in chosen], corrected, video)
        taken |= {f"{variant}_{seed}": frames for seed, frames in video.frames.items()}
    return taken


def telling_seeds(base: Sequence[EpisodeOutcome], residual: Sequence[EpisodeOutcome], count: int) -> list[int]:
    """Up to `count` seeds to look at: rescued by the residual and failed with it, in turn; then what both solved.

    Of those that failed with it the ones that the base solves come first.
    """
    pairs = list(zip(base, residual, strict=True))
    rescued = [r.seed for b, r in pairs if r.success and not b.success]
    failed = sorted((not b.success, r.seed) for b, r in pairs if not r.success)
    groups = (rescued, [seed for _, seed in failed])
    alternating = [seed for k in range(len(pairs)) for group in groups for seed in group[k : k + 1]]
    return (alternating + [r.seed for b, r in pairs if b.success and r.success])[:count]


def write_evaluation(
    metrics: Path,
    episodes: Path,
    tabletop_task: str,
    round_number: int,
    residual_seed: int,
    evaluations: Sequence[PairedEvaluation],
    traces: int,
) -> dict[str, Any]:
    """Write the metrics file, and into the folder `episodes` single episodes and videos.

    The folder holds `episodes.json` and, where videos were taken, `<cell>.npz`. Returns the metrics.
    Raises ValueError when a cell was evaluated twice.
    """
    cells = {evaluation.cell: evaluation for evaluation in evaluations}
    if len(cells) != len(evaluations):
        raise ValueError(f"cells must differ, got {', '.join(evaluation.cell for evaluation in evaluations)}")
    identity = {"tabletop_task": tabletop_task, "round": round_number, "residual_seed": residual_seed}
    measured = identity | {cell: evaluation.metrics() for cell, evaluation in cells.items()}
    details = identity | {"cells": {cell: evaluation.episodes(traces) for cell, evaluation in cells.items()}}
    files.write_json(episodes / "episodes.json", details)
    for cell, evaluation in cells.items():
        if evaluation.videos:
            write_videos(episodes / f"{cell}.npz", evaluation.videos)
    files.write_json(metrics, measured)
    return measured


def _described(outcome: EpisodeOutcome) -> dict[str, Any]:
    """An episode with its course as JSON; positions and translations to 0.01 mm."""
    trace = outcome.trace
    if trace is None:
        raise ValueError(f"the episode of seed {outcome.seed} must have a trace, got none")
    return {"seed": outcome.seed, "success": outcome.success, "steps": outcome.steps} | {
        name: _rounded(trace, name) for name in EpisodeTrace.__dataclass_fields__ if getattr(trace, name) is not None
    }


def _rounded(trace: EpisodeTrace, name: str) -> list[Any]:
    values = getattr(trace, name)
    return values.tolist() if values.dtype == bool else np.round(values.astype(float), 5).tolist()


class VideoRecorder:
    """Records the episodes of `seeds` with the environment's first camera; `frames` holds what was taken, by seed."""

    def __init__(self, seeds: Iterable[int], capture: Capture | None = None) -> None:
        """`capture` takes the video's images in place of the policy's."""
        self._video_capture = capture
        self.frames: dict[int, Frames] = {}
        self._seeds = set(seeds)
        self._running: dict[int, int] = {}
        self._images: dict[int, list[np.ndarray]] = {}

    def begin(self, ids: np.ndarray, seeds: list[int]) -> None:
        self._running = {int(env): seed for env, seed in zip(ids, seeds, strict=True) if seed in self._seeds}
        self._images = {env: [] for env in self._running}

    def before_step(
        self,
        ids: np.ndarray,
        observation: Observation,
        capture: Capture,
        base_action: np.ndarray,
        residual: np.ndarray,
        action: np.ndarray,
    ) -> None:
        frames = np.array([env for env in ids if int(env) in self._running], int)
        if len(frames) == 0:
            return
        images = (self._video_capture or capture)(frames)
        for env, image in zip(frames, images[next(iter(images))], strict=True):
            self._images[int(env)].append(np.array(image, np.uint8))

    def after_step(self, ids: np.ndarray, result: StepResult) -> None:
        pass

    def end(self, outcomes: list[EpisodeOutcome]) -> None:
        for env, seed in self._running.items():
            self.frames[seed] = np.stack(self._images[env])


def write_videos(path: Path, videos: Mapping[str, Frames]) -> None:
    """Write `videos`, named `<variant>_<seed>`, to the npz file `path`; the same videos give the same bytes."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **{name: videos[name] for name in sorted(videos)})
    files.write_bytes(path, content.getvalue())
