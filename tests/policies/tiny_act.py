"""A tiny random ACT for this robot, saved by LeRobot as `lerobot-train` does, without any training."""

from pathlib import Path

import torch


def write_act(folder: Path) -> Path:
    """Policy and pipelines in `folder`, with the cameras front and wrist of 32 x 32 pixels; returns it."""
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies import make_pre_post_processors
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy

    state, action = PolicyFeature(FeatureType.STATE, (8,)), PolicyFeature(FeatureType.ACTION, (7,))
    cameras = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, 32, 32)) for name in ("front", "wrist")
    }
    config = ACTConfig(
        device="cpu",
        push_to_hub=False,
        input_features={**cameras, "observation.state": state},
        output_features={"action": action},
        chunk_size=4,
        n_action_steps=4,
        pretrained_backbone_weights=None,
        dim_model=32,
        n_heads=2,
        dim_feedforward=32,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
    )
    torch.manual_seed(0)
    policy = ACTPolicy(config)
    stats = {
        "observation.state": {"mean": torch.zeros(8), "std": torch.ones(8)},
        "action": {"mean": torch.zeros(7), "std": torch.ones(7)},
        **{name: {"mean": torch.zeros(3, 1, 1), "std": torch.ones(3, 1, 1)} for name in cameras},
    }
    for part in (policy, *make_pre_post_processors(config, dataset_stats=stats)):
        part.save_pretrained(folder)
    return folder
