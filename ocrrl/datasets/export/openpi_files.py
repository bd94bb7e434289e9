"""What openpi (of June 2026) wants beside a dataset of v2.1: a TrainConfig in Python, which registers itself, and commands."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from ocrrl.datasets.export.described import CONFIGS, HORIZON, Described, filled
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY

_WRIST = "wrist"


def openpi_cameras(cameras: Sequence[str]) -> dict[str, str]:
    """openpi's key of each camera that it takes: the first one that is not at the wrist, and the first that is."""
    base = next((camera for camera in cameras if _WRIST not in camera), cameras[0])
    wrist = next((camera for camera in cameras if _WRIST in camera and camera != base), None)
    return {base: "observation/image"} | ({wrist: "observation/wrist_image"} if wrist else {})


def openpi_files(described: Described, repo_id: str) -> dict[str, str]:
    """The configuration for openpi, by its path in the export; `repo_id` is the export's last two folders."""
    taken = openpi_cameras(described.cameras)
    repacked = {key: IMAGE_PREFIX + camera for camera, key in taken.items()}
    repacked |= {"observation/state": STATE_KEY, "actions": ACTION_KEY, "prompt": "prompt"}
    values = {
        "repo_id": repo_id,
        "repacked": repacked,
        "has_wrist": len(taken) > 1,
        "width": described.action_width,
        "action_keys": (ACTION_KEY,),
        "horizon": HORIZON,
    }
    return {f"{CONFIGS}/ocrrl_openpi.py": filled(_OPENPI, values)}


def openpi_commands(out: Path) -> list[str]:
    """How openpi is trained on the export at `out` and serves what it made; run in its own folder."""
    run = f"HF_LEROBOT_HOME={out.parent.parent} uv run python {out / CONFIGS}/ocrrl_openpi.py"
    return [
        "# openpi",
        f"{run} scripts/compute_norm_stats.py --config-name ocrrl",
        f"{run} scripts/train.py ocrrl --exp-name={out.name}",
        f"{run} scripts/serve_policy.py --port 8000 policy:checkpoint --policy.config=ocrrl"
        f" --policy.dir=checkpoints/ocrrl/{out.name}/29999",
    ]


_OPENPI = Template('''"""Configuration `ocrrl` of this dataset for openpi, and the way to run openpi's scripts with it:

    python ocrrl_openpi.py scripts/train.py ocrrl --exp-name=NAME
"""

import dataclasses
import runpy
import sys
from pathlib import Path

import numpy as np
import openpi.models.model as _model
import openpi.models.pi0_config as pi0_config
import openpi.training.config as _config
import openpi.training.weight_loaders as weight_loaders
import openpi.transforms as _transforms

ACTION_WIDTH = $width


def _picture(image):
    """(H, W, 3) uint8; LeRobot gives (3, H, W) in [0, 1]."""
    image = np.asarray(image)
    if np.issubdtype(image.dtype, np.floating):
        image = (255 * image).astype(np.uint8)
    return np.moveaxis(image, 0, -1) if image.shape[0] == 3 else image


@dataclasses.dataclass(frozen=True)
class OcrrlInputs(_transforms.DataTransformFn):
    model_type: _model.ModelType

    def __call__(self, data: dict) -> dict:
        base = _picture(data["observation/image"])
        wrist = _picture(data["observation/wrist_image"]) if $has_wrist else np.zeros_like(base)
        absent = np.bool_(self.model_type == _model.ModelType.PI0_FAST)
        inputs = {
            "state": np.asarray(data["observation/state"]),
            "image": {"base_0_rgb": base, "left_wrist_0_rgb": wrist, "right_wrist_0_rgb": np.zeros_like(base)},
            "image_mask": {
                "base_0_rgb": np.True_,
                "left_wrist_0_rgb": np.True_ if $has_wrist else absent,
                "right_wrist_0_rgb": absent,
            },
        }
        return inputs | {name: data[name] for name in ("actions", "prompt") if name in data}


@dataclasses.dataclass(frozen=True)
class OcrrlOutputs(_transforms.DataTransformFn):
    def __call__(self, data: dict) -> dict:
        return {"actions": np.asarray(data["actions"][..., :ACTION_WIDTH])}


@dataclasses.dataclass(frozen=True)
class OcrrlDataConfig(_config.DataConfigFactory):
    def create(self, assets_dirs, model_config):
        repacked = _transforms.RepackTransform($repacked)
        return dataclasses.replace(
            self.create_base_config(assets_dirs, model_config),
            repack_transforms=_transforms.Group(inputs=[repacked]),
            data_transforms=_transforms.Group(
                inputs=[OcrrlInputs(model_type=model_config.model_type)], outputs=[OcrrlOutputs()]
            ),
            model_transforms=_config.ModelTransformFactory()(model_config),
            action_sequence_keys=$action_keys,
        )


def train_config():
    return _config.TrainConfig(
        name="ocrrl",
        model=pi0_config.Pi0Config(pi05=True, action_horizon=$horizon, discrete_state_input=False),
        data=OcrrlDataConfig(repo_id=$repo_id, base_config=_config.DataConfig(prompt_from_task=True)),
        weight_loader=weight_loaders.CheckpointWeightLoader("gs://openpi-assets/checkpoints/pi05_base/params"),
        batch_size=32,
        num_train_steps=30_000,
    )


def register():
    _config._CONFIGS_DICT["ocrrl"] = train_config()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import ocrrl_openpi  # by its own name, which data loaders' processes find again

    ocrrl_openpi.register()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
''')
