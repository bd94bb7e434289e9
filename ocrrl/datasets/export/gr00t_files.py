"""What Isaac-GR00T wants beside a dataset of v2.1: modality.json, a configuration in Python, commands.

For N1.5 (tag n1.5-release, `--data-config module:Class`) and for N1.6 and N1.7 (`--modality-config-path FILE`).
"""

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from ocrrl.datasets.export.described import CONFIGS, HORIZON, Columns, Described, filled
from ocrrl.datasets.export.lerobot_v21 import INSTRUCTION_KEY
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY


def modality(described: Described) -> dict[str, Any]:
    """The content of meta/modality.json."""

    def slices(groups: Sequence[Columns], original: str) -> dict[str, dict[str, Any]]:
        return {
            group.name: {"start": group.start, "end": group.end, "original_key": original, "absolute": group.absolute}
            | ({"rotation_type": group.rotation_type} if group.rotation_type else {})
            for group in groups
        }

    return {
        "state": slices(described.state, STATE_KEY),
        "action": slices(described.action, ACTION_KEY),
        "video": {camera: {"original_key": IMAGE_PREFIX + camera} for camera in described.cameras},
        "annotation": {
            "human.action.task_description": {},
            "human.task_description": {"original_key": "task_index"},
        },
    }


def gr00t_files(described: Described) -> dict[str, str]:
    """The configurations for Isaac-GR00T, by their path in the export."""
    turned = ("quaternion", "matrix")
    groups = [(kind, group) for kind in ("state", "action") for group in getattr(described, kind)]
    names = {kind: [f"{kind}.{group.name}" for group in getattr(described, kind)] for kind in ("state", "action")}
    values = {
        "video_keys": [f"video.{camera}" for camera in described.cameras],
        "state_keys": names["state"],
        "action_keys": names["action"],
        "rotations": {f"{kind}.{g.name}": "rotation_6d" for kind, g in groups if g.rotation_type in turned},
        "cameras": list(described.cameras),
        "states": [group.name for group in described.state],
        "actions": [group.name for group in described.action],
        "instruction": INSTRUCTION_KEY,
        "horizon": HORIZON,
    }
    return {
        f"{CONFIGS}/ocrrl_gr00t_n15.py": filled(_GR00T_N15, values),
        f"{CONFIGS}/ocrrl_gr00t_n16.py": filled(_GR00T_N16, values),
    }


def gr00t_commands(out: Path) -> list[str]:
    """How Isaac-GR00T is trained on the export at `out` and serves what it made; run in its own folder."""
    configs, made = out / CONFIGS, f"checkpoints/{out.name}"
    n15 = "--data-config ocrrl_gr00t_n15:OcrrlDataConfig --embodiment-tag new_embodiment"
    n16 = "--embodiment-tag NEW_EMBODIMENT"
    return [
        "# Isaac-GR00T N1.5 (tag n1.5-release)",
        f"PYTHONPATH={configs} python scripts/gr00t_finetune.py --dataset-path {out} --output-dir {made} {n15} --num-gpus 1",
        f"PYTHONPATH={configs} python scripts/inference_service.py --server --model-path {made} {n15} --port 5555",
        "# Isaac-GR00T N1.6, N1.7",
        "python gr00t/experiment/launch_finetune.py --base-model-path nvidia/GR00T-N1.7-3B"
        f" --dataset-path {out} --output-dir {made} {n16} --modality-config-path {configs}/ocrrl_gr00t_n16.py --num-gpus 1",
        f"python gr00t/eval/run_gr00t_server.py --model-path {made} {n16} --port 5555",
    ]


_GR00T_N15 = Template('''"""Data configuration of this dataset for Isaac-GR00T N1.5: --data-config ocrrl_gr00t_n15:OcrrlDataConfig."""

from gr00t.data.dataset import ModalityConfig
from gr00t.data.transform.base import ComposedModalityTransform
from gr00t.data.transform.concat import ConcatTransform
from gr00t.data.transform.state_action import StateActionToTensor, StateActionTransform
from gr00t.data.transform.video import VideoColorJitter, VideoCrop, VideoResize, VideoToNumpy, VideoToTensor
from gr00t.experiment.data_config import BaseDataConfig
from gr00t.model.transforms import GR00TTransform

ROTATIONS = $rotations


def _state_action(keys):
    """Minimum to maximum for numbers; rotations as six numbers."""
    return StateActionTransform(
        apply_to=keys,
        normalization_modes={key: "min_max" for key in keys if key not in ROTATIONS},
        target_rotations={key: form for key, form in ROTATIONS.items() if key in keys},
    )


class OcrrlDataConfig(BaseDataConfig):
    video_keys = $video_keys
    state_keys = $state_keys
    action_keys = $action_keys
    language_keys = [$instruction]
    observation_indices = [0]
    action_indices = list(range($horizon))

    def modality_config(self):
        return {
            "video": ModalityConfig(delta_indices=self.observation_indices, modality_keys=self.video_keys),
            "state": ModalityConfig(delta_indices=self.observation_indices, modality_keys=self.state_keys),
            "action": ModalityConfig(delta_indices=self.action_indices, modality_keys=self.action_keys),
            "language": ModalityConfig(delta_indices=self.observation_indices, modality_keys=self.language_keys),
        }

    def transform(self):
        return ComposedModalityTransform(
            transforms=[
                VideoToTensor(apply_to=self.video_keys),
                VideoCrop(apply_to=self.video_keys, scale=0.95),
                VideoResize(apply_to=self.video_keys, height=224, width=224, interpolation="linear"),
                VideoColorJitter(apply_to=self.video_keys, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.08),
                VideoToNumpy(apply_to=self.video_keys),
                StateActionToTensor(apply_to=self.state_keys),
                _state_action(self.state_keys),
                StateActionToTensor(apply_to=self.action_keys),
                _state_action(self.action_keys),
                ConcatTransform(
                    video_concat_order=self.video_keys,
                    state_concat_order=self.state_keys,
                    action_concat_order=self.action_keys,
                ),
                GR00TTransform(
                    state_horizon=len(self.observation_indices),
                    action_horizon=len(self.action_indices),
                    max_state_dim=64,
                    max_action_dim=32,
                ),
            ]
        )
''')

_GR00T_N16 = Template('''"""Modality configuration of this dataset for Isaac-GR00T N1.6 and N1.7: --modality-config-path."""

from gr00t.configs.data.embodiment_configs import register_modality_config
from gr00t.data.embodiment_tags import EmbodimentTag
from gr00t.data.types import ActionConfig, ActionFormat, ActionRepresentation, ActionType, ModalityConfig

ACTIONS = $actions

# As they are in the dataset: steps are small already, and poses stay in the base frame.
AS_RECORDED = ActionConfig(
    rep=ActionRepresentation.ABSOLUTE, type=ActionType.NON_EEF, format=ActionFormat.DEFAULT
)

ocrrl_config = {
    "video": ModalityConfig(delta_indices=[0], modality_keys=$cameras),
    "state": ModalityConfig(delta_indices=[0], modality_keys=$states),
    "action": ModalityConfig(
        delta_indices=list(range($horizon)), modality_keys=ACTIONS, action_configs=[AS_RECORDED] * len(ACTIONS)
    ),
    "language": ModalityConfig(delta_indices=[0], modality_keys=[$instruction]),
}

register_modality_config(ocrrl_config, embodiment_tag=EmbodimentTag.NEW_EMBODIMENT)
''')
