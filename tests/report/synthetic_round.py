"""Made-up files of a round, in the schemas that the stages write; nothing in them was measured."""

import json
from pathlib import Path

import numpy as np

from ocrrl.layout import MULTITASK, Layout
from ocrrl.report.inputs import ReportInputs, TaskInputs
from ocrrl.report.paper_results import TABLE_1
from ocrrl.rollouts.episode_outcome import EpisodeOutcome, EpisodeTrace
from ocrrl.rollouts.evaluate import PairedEvaluation, telling_seeds, write_evaluation
from ocrrl.rollouts.evaluate_retrained import VariantsEvaluation, write_retrained_evaluation

RATES = {"sim": (0.3, 0.97), "twin": (0.27, 0.89)}
VARIANT_RATES = {"before": 0.27, "retrained": 0.71, "demonstrations_only": 0.36, "base_rollouts": 0.52}
RATES_BY_TASK = {
    "cube_lift": RATES,
    "pick_and_place": {"sim": (0.4, 0.9), "twin": (0.3, 0.8)},
    "stack_cube": {"sim": (0.45, 0.85), "twin": (0.35, 0.8)},
    "close_drawer": {"sim": (0.5, 0.97), "twin": (0.5, 0.95)},
    "stand_cup_up": {"sim": (0.3, 0.85), "twin": (0.3, 0.75)},
}


def write_synthetic_round(
    folder: Path, episodes: int = 100, seeds: tuple[int, ...] = (0, 1, 2), videos: int = 2
) -> ReportInputs:
    """Write every part of a report's inputs under `folder`."""
    for seed in seeds:
        evaluations = [_evaluation(cell, rates, seed, episodes, videos) for cell, rates in RATES.items()]
        write_evaluation(folder / f"e{seed}.json", folder / f"e{seed}", "cube_lift", 0, seed, evaluations, traces=3)
        _write(folder / f"residual_{seed}/curve.json", {"points": _curve(seed)})
    variants = {variant: _outcomes(rate, episodes, 9, mean_steps=70) for variant, rate in VARIANT_RATES.items()}
    write_retrained_evaluation(
        folder / "retrained.json", "cube_lift", 0, [VariantsEvaluation("cube_lift", "twin", variants)]
    )
    _write(folder / "ingest.json", _ingest())
    _write(folder / "replay.json", _replay())
    for policy, report in _rollouts().items():
        _write(folder / f"rollout_{policy}.json", report)
    task = TaskInputs(
        tabletop_task="cube_lift",
        evaluations=tuple(folder / f"e{seed}.json" for seed in seeds),
        evaluation_episodes=tuple(folder / f"e{seed}" for seed in seeds),
        residuals=tuple(folder / f"residual_{seed}" for seed in seeds),
        ingest_report=folder / "ingest.json",
        replay_report=folder / "replay.json",
        rollout_reports=(folder / "rollout_corrected.json", folder / "rollout_base.json"),
    )
    return ReportInputs((task,), retrained_evaluation=folder / "retrained.json")


def write_synthetic_tasks(
    folder: Path, slugs: tuple[str, ...] = tuple(TABLE_1), episodes: int = 16, seeds: tuple[int, ...] = (0,)
) -> None:
    """Write what `report_multitask` reads of each tabletop task and of the multi-task VLA, under `folder` as `Layout` has it."""
    variants = []
    for slug in slugs:
        layout, rates_by_cell = Layout(slug), RATES_BY_TASK[slug]
        for seed in seeds:
            evaluations = [_evaluation(cell, rates, seed, episodes, videos=2) for cell, rates in rates_by_cell.items()]
            metrics, details = folder / layout.evaluation(seed), folder / layout.evaluation_episodes(seed)
            write_evaluation(metrics, details, slug, 0, seed, evaluations, traces=1)
            _write(folder / layout.residual(seed) / "curve.json", {"points": _curve(seed)})
        _write(folder / layout.replay_report, _replay() | {"tabletop_task": slug})
        outcomes = {variant: _outcomes(rate, episodes, 9, mean_steps=70) for variant, rate in VARIANT_RATES.items()}
        variants.append(VariantsEvaluation(slug, "twin", outcomes))
    write_retrained_evaluation(folder / Layout(MULTITASK).retrained_evaluation, MULTITASK, 0, variants)


def _write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _evaluation(cell: str, rates: tuple[float, float], seed: int, episodes: int, videos: int = 0) -> PairedEvaluation:
    base = _outcomes(rates[0], episodes, 1, mean_steps=80)
    residual = _outcomes(rates[1] - 0.02 * seed, episodes, 2 + seed, mean_steps=66, with_residual=True)
    random, images = np.random.default_rng(5), {}
    for chosen in telling_seeds(base[:20], residual[:20], videos):
        for variant, outcomes in (("base", base), ("residual", residual)):
            (steps,) = (outcome.steps for outcome in outcomes if outcome.seed == chosen)
            images[f"{variant}_{chosen}"] = _frames(steps, random)
    return PairedEvaluation(cell, base, residual, images)


def _frames(steps: int, random: np.random.Generator) -> np.ndarray:
    frames = np.full((steps, 64, 64, 3), (90, 96, 104), np.uint8)
    x, y = random.integers(10, 50, 2)
    for t in range(steps):
        frames[t, y : y + 6, x : x + 12] = (170, 120, 70)
        height = min(t, 40)
        frames[t, 10 + height // 2 : 20 + height // 2, 28:36] = (235, 235, 235)
    return frames


def _outcomes(rate: float, count: int, random_seed: int, mean_steps: int, with_residual: bool = False):
    random = np.random.default_rng(random_seed)
    outcomes = []
    for k in range(count):
        success = bool(random.random() < rate)
        steps = int(np.clip(random.normal(mean_steps, 10), 30, 119)) if success else 120
        trace = _trace(steps, random, with_residual)
        outcomes.append(EpisodeOutcome(2_000_000 + k, success, steps, 0.5 * steps, trace))
    return outcomes


def _trace(steps: int, random: np.random.Generator, with_residual: bool) -> EpisodeTrace:
    goal = np.array([0.5, 0.0, 0.02]) + random.uniform(-0.1, 0.1, 3) * [1, 1, 0]
    wrong = goal + random.normal(0, 0.035, 3)
    gripper, rows = np.array([0.42, 0.0, 0.3]), []
    for _ in range(steps):
        base = np.clip(0.2 * (wrong - gripper), -0.015, 0.015)
        correction = np.clip(0.25 * (goal - gripper - 2 * base), -0.006, 0.006) * with_residual
        noise = random.normal(0, 0.0006, 3) * with_residual
        rows.append((gripper, base, correction + noise))
        gripper = gripper + base + correction + noise
    positions, bases, residuals = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    rest = np.zeros((steps, 4), np.float32)
    return EpisodeTrace(
        gripper_positions=positions,
        object_positions=np.tile(goal.astype(np.float32), (steps, 1, 1)),
        object_visible=np.ones((steps, 1), bool),
        base_actions=np.concatenate([bases, rest], axis=-1),
        residuals=np.concatenate([residuals, rest], axis=-1),
    )


def _curve(seed: int) -> list[dict]:
    random = np.random.default_rng(seed)
    points = []
    for k in range(9 if seed != 1 else 7):
        rate = [0.28, 0.08, 0.45, 0.7, 0.86, 0.94, 0.97, 0.99, 0.98][k]
        points.append(
            {
                "transitions": 4000 * k,
                "validation_success": round(float(np.clip(rate + random.normal(0, 0.04), 0, 1)), 2),
                "episodes": 40 if k else 0,
                "mean_episode_return": None if k == 0 else 20.0 + 5 * k,
                "training_success": None if k == 0 else rate,
                "updates": 750 * k,
                "q_mean": 3.0 * k,
                "critic_loss": 0.1,
                "residual_magnitude": 0.05 + 0.3 * (1 - np.exp(-k / 3)) + 0.01 * seed,
            }
        )
    return points


def _ingest() -> dict:
    accepted = [
        {"source": f"episode_{k:06d}.h5", "origin": f"episode_{k:06d}.h5", "sha256": "0" * 64, "length": 90 + k}
        for k in range(30)
    ]
    rejected = [
        {"source": "episode_000030.h5", "reason": "timestamps must be increasing, got -0.05 s from step 7 to 8"}
    ]
    counts = {"accepted": 30, "rejected": 1}
    return {"source_format": "ocrrl", "counts": counts, "accepted": accepted, "rejected": rejected}


def _replay() -> dict:
    random = np.random.default_rng(3)
    quality = [
        {
            "source": f"episode_{k:06d}.h5",
            "success": k not in (4, 17),
            "steps": 100,
            "gripper_error_median": float(random.uniform(0.001, 0.006)),
            "gripper_error_max": 0.01,
            "object_error_median": float(random.uniform(0.003, 0.012)),
            "object_error_max": 0.02,
            "slip": float(random.uniform(0.001, 0.005)) if k != 4 else None,
        }
        for k in range(30)
    ]
    dropped = [{"source": f"episode_{k:06d}.h5", "reason": "replay must end in success, got failure"} for k in (4, 17)]
    kept = [entry["source"] for entry in quality if entry["success"]]
    counts = {"episodes": 30, "replayed": 30, "successes": 28, "kept": 28, "dropped": 2}
    return {"tabletop_task": "cube_lift", "counts": counts, "kept": kept, "dropped": dropped, "quality": quality}


def _rollouts() -> dict:
    def summary(wanted: int, recorded: int, episodes: int, successes: int) -> dict:
        attempts = {
            "successes": successes,
            "episodes": episodes,
            "success_rate": successes / episodes,
            "wilson_low": 0.0,
            "wilson_high": 1.0,
            "mean_steps_success": 70.0,
        }
        return {"cell": "twin", "wanted": wanted, "recorded": recorded, "attempts": attempts}

    identity = {"tabletop_task": "cube_lift", "round": 0}
    return {
        "corrected": identity | {"residual_seed": 0, "corrected": summary(60, 60, 75, 66)},
        "base": identity | {"base": summary(60, 52, 200, 52)},
    }
