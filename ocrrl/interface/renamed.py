"""Names that version 0.1 had for parameters: their names today, by section of params.yaml."""

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, Mapping[str, str]] = {
    "ingest": {"picture_fit": "image_fit"},
    "train_residual": {
        "total_transitions": "total_timesteps",
        "updates_per_step": "gradient_steps",
        "first_update_at": "learning_starts",
        "batch": "batch_size",
        "residual_every": "action_repeat",
        "behaviour_cloning": "bc_coef",
        "smoothing_std": "target_noise",
        "smoothing_clip": "target_noise_clip",
        "actor_delay": "policy_delay",
        "actor_averaging": "actor_ema",
    },
    "evaluate": {"films": "videos"},
}


def current_names(section: str, values: Any) -> Any:
    """`values` of `section`, or of a residual's config for `train_residual`, under today's names; no mapping stays as it is."""
    names = RENAMED.get(section, {})
    return {names.get(key, key): value for key, value in values.items()} if isinstance(values, Mapping) else values


def current_name(parameter: str) -> str:
    """Today's name of a dotted `parameter`, such as `train_residual.cube_lift.batch`."""
    section, *between, key = parameter.split(".")
    return ".".join((section, *between, RENAMED.get(section, {}).get(key, key)))
