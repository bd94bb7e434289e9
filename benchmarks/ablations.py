"""One change of the residual's training at a time: `python -m benchmarks.ablations [--task cube_lift] [--only l2]`,
after `dvc repro train_residual@cube_lift-0`.

Prints a Markdown row for each: the learning curve on validation seeds at a fixed number of transitions, and the success on
others of them. One seed; a difference below 0.1 is noise.
"""

import argparse
from typing import Any

from benchmarks.residual import train_and_test
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.tabletop.registry import slugs

TRANSITIONS = 48_000
ABLATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "every_step": {"action_repeat": 1},
    "unshaped": {"shaping": 0.0},
    "same_noise": {"exploration_least": 1.0},
    "no_averaging": {"actor_ema": 1.0},
    "wide": {"actor_hidden": 256, "critic_hidden": 256},
    "l2": {"l2": 0.05},
    "gamma": {"gamma": 0.99},
    "bound": {"residual_scale": (0.25, 0.2, 1.5), "exploration_std": (0.1, 0.05, 0.3)},
    "learning_rates": {"actor_lr": 1e-5, "critic_lr": 1e-4},
    "layer_norm": {"layer_norm": False},
    "no_demonstrations": {"offline_fraction": 0.0},
    "bc_coef": {"bc_coef": 1.0},
    "updates": {"gradient_steps": 6},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=tuple(ABLATIONS), default=tuple(ABLATIONS))
    parser.add_argument("--task", choices=slugs(), default="cube_lift")
    parser.add_argument("--transitions", type=int, default=TRANSITIONS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=100)
    options = parser.parse_args()
    # Validation seeds that no checkpoint is selected on: test seeds are not for comparing settings.
    seeds = initial_state_seeds("validation", options.episodes, first=10_000)
    print(
        "| change | " + " | ".join(f"{k}k" for k in range(0, options.transitions // 1000 + 1, 8)) + " | others |",
        flush=True,
    )
    for name in options.only:
        budget = {"total_timesteps": options.transitions, "validation_every": 8_000, "stop_at_success": 1.01}
        curve, _, held_out = train_and_test(options.task, options.seed, seeds, budget | ABLATIONS[name])
        described = ", ".join(f"{key} {value}" for key, value in ABLATIONS[name].items()) or "default"
        cells = " | ".join(f"{point['validation_success']:.2f}" for point in curve)
        print(f"| {described} | {cells} | {held_out['success_rate']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
