"""LeRobot's environment type `ocrrl`: which tabletop task, in which cell, seen by which cameras."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from draccus.utils import DecodingError
from gymnasium.vector import VectorEnv
from lerobot.configs import FeatureType, PolicyFeature, parser
from lerobot.envs import EnvConfig
from lerobot.processor import PolicyProcessorPipeline

from ocrrl.front_door.gymnasium_env import TabletopVectorEnv
from ocrrl.front_door.lerobot_env.processors import ChannelsLastImages, LimitedActions
from ocrrl.front_door.lerobot_env.vector_env import STATE, LeRobotVectorEnv
from ocrrl.interface.actions import ACTION_DIM, CONTROL_HZ
from ocrrl.interface.cameras import CameraSizes, described
from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY
from ocrrl.interface.observations import PROPRIOCEPTION_DIM
from ocrrl.params import chosen_cameras, register_own_tasks
from ocrrl.policies.image_sizes import image_sizes, resizes
from ocrrl.tabletop.registry import tabletop_task


@EnvConfig.register_subclass("ocrrl")
@dataclass
class OcrrlEnvConfig(EnvConfig):
    """What `--env.*` sets in LeRobot's tools.

    draccus' DecodingError, which LeRobot prints as one line, names a tabletop task that is not known, cameras that cannot be, and
    a checkpoint (`--policy.path`) that is missing or takes images of other cameras or sizes: LeRobot itself checks no sizes.
    """

    task: str | None = "cube_lift"
    """A tabletop task, also one of your own that the params.yaml here names."""
    fps: int = CONTROL_HZ
    cell: str = "sim"
    """`sim` or `twin`."""
    cameras: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width [pixel] by name; without any, those of the params.yaml here, or 64 x 64."""

    def __post_init__(self) -> None:
        register_own_tasks()
        try:
            self._task = tabletop_task(str(self.task))
            self.cameras = {name: (size[0], size[1]) for name, size in chosen_cameras(self.cameras or None).items()}
            if (policy := parser.get_path_arg("policy")) is not None:
                require_policy(policy, self.cameras)
        except (ValueError, FileNotFoundError) as error:
            raise DecodingError((), str(error)) from error
        images = {IMAGE_PREFIX + name: (*size, 3) for name, size in self.cameras.items()}
        self.features = {
            ACTION_KEY: PolicyFeature(FeatureType.ACTION, (ACTION_DIM,)),
            STATE: PolicyFeature(FeatureType.STATE, (PROPRIOCEPTION_DIM,)),
            **{name: PolicyFeature(FeatureType.VISUAL, shape) for name, shape in images.items()},
        }
        self.features_map = {name: name for name in self.features} | {STATE: STATE_KEY}

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        return {"cell": self.cell, "pixels": True, "render_mode": "rgb_array", "cameras": self.cameras}

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, VectorEnv]]:
        """{"ocrrl": {0: `n_envs` environments}}, stepped together in this process whether `use_async_envs` is set or not."""
        env = TabletopVectorEnv(n_envs, self._task.slug, **self.gym_kwargs)
        return {self.type: {0: LeRobotVectorEnv(env, self._task)}}

    def get_env_processors(self) -> tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]:
        return PolicyProcessorPipeline([ChannelsLastImages()]), PolicyProcessorPipeline([LimitedActions()])


def require_policy(policy: str, cameras: CameraSizes) -> None:
    """FileNotFoundError or ValueError unless the checkpoint `policy` can act on images of `cameras`; a hub's model is not checked."""
    folder = Path(policy)
    if not folder.is_dir() and len(folder.parts) == 2 and not folder.parent.is_dir():
        return  # ORG/NAME on the hub
    missing = [part for part in ("config.json", "*model*.safetensors") if not any(folder.glob(part))]
    if missing:
        raise FileNotFoundError(
            f"--policy.path must be a folder with config.json and model.safetensors, or ORG/NAME on the hub, got {policy}, which "
            f"{f'lacks {missing[0]}' if folder.is_dir() else 'is not there'}; correct the path (lerobot-train writes "
            "checkpoints/last/pretrained_model, `make demo` data/vla_*), or train the policy first"
        )
    config = read_json_object(folder / "config.json")
    taken, any_size = image_sizes(config), resizes(config)
    if any(name not in cameras or (not any_size and cameras[name] != size) for name, size in taken.items()):
        sizes = ", ".join(f"{name}: [{height}, {width}]" for name, (height, width) in taken.items())
        raise ValueError(
            f"--env.cameras must be those of the policy {policy}, {described(taken)}, got {described(cameras)}; "
            f'add --env.cameras="{{{sizes}}}"'
        )
