"""`evaluate_retrained`: the retrained VLA, the one before and the control variants, without a residual (Fig. 6c, d)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.interface.devices import require_device
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import rate_difference, steps_difference, success_summary

RETRAINED = "retrained"
CONTROL_VARIANTS = ("before", "demonstrations_only", "base_rollouts")


@dataclass(frozen=True)
class EvaluateRetrainedConfig:
    """How many held-out initial states every variant starts from."""

    episodes: int = 100
    num_envs: int = 25
    device: str = "auto"

    def __post_init__(self) -> None:
        require_device(self.device)
        for name in ("episodes", "num_envs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class VariantsEvaluation:
    """The variants in one cell, from the same initial states in the same order."""

    tabletop_task: str
    cell: str
    variants: dict[str, list[EpisodeOutcome]]

    def __post_init__(self) -> None:
        known = (RETRAINED, *CONTROL_VARIANTS)
        if RETRAINED not in self.variants or not set(self.variants) <= set(known):
            raise ValueError(
                f"variants must hold {RETRAINED} and be among {', '.join(known)}, got {', '.join(self.variants)}"
            )

    def metrics(self) -> dict[str, Any]:
        """R of each variant; under `differences`, retrained minus each control variant, paired."""
        retrained = self.variants[RETRAINED]
        controls = {variant: self.variants[variant] for variant in CONTROL_VARIANTS if variant in self.variants}
        return {variant: success_summary(outcomes) for variant, outcomes in self.variants.items()} | {
            "differences": {
                variant: {
                    "success_rate": rate_difference(outcomes, retrained),
                    "steps": steps_difference(outcomes, retrained),
                }
                for variant, outcomes in controls.items()
            }
        }

    def episodes(self) -> dict[str, list[dict[str, Any]]]:
        """Per variant, every episode's seed, success and steps."""
        return {
            variant: [{"seed": o.seed, "success": o.success, "steps": o.steps} for o in outcomes]
            for variant, outcomes in self.variants.items()
        }


def write_retrained_evaluation(
    metrics: Path,
    item: str,
    round_number: int,
    evaluations: Sequence[VariantsEvaluation],
    retrained: Path | None = None,
) -> dict[str, Any]:
    """Write the metrics file: by tabletop task and cell the variants, and under `episodes` the single episodes.

    `retrained` is the folder of the retrained VLA: where somebody stepped into episodes that it was trained on, they stand under
    `interventions`. `item` is what was retrained: a tabletop task's slug, or `multitask`. Returns what was written.
    """
    tasks: dict[str, dict[str, Any]] = {}
    episodes: dict[str, dict[str, Any]] = {}
    for evaluation in evaluations:
        cells = tasks.setdefault(evaluation.tabletop_task, {})
        if evaluation.cell in cells:
            raise ValueError(f"a tabletop task's cells must differ, got {evaluation.cell} twice")
        cells[evaluation.cell] = evaluation.metrics()
        episodes.setdefault(evaluation.tabletop_task, {})[evaluation.cell] = evaluation.episodes()
    measured = {"item": item, "round": round_number, "tabletop_tasks": tasks, "episodes": episodes}
    training = retrained and retrained / "training.json"
    if training and training.is_file() and (stepped_in := json.loads(training.read_text()).get("interventions")):
        measured["interventions"] = stepped_in
    files.write_json(metrics, measured)
    return measured
