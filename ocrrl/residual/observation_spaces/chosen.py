"""The observation space that `train_residual.observation` names."""

from pathlib import Path

from ocrrl.interface.protocols import Environment
from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.observation_spaces.distilled import DistilledSpace
from ocrrl.residual.observation_spaces.images import ImageSpace, image_cameras
from ocrrl.residual.observation_spaces.objects import ObjectSpace
from ocrrl.residual.observation_spaces.privileged import PrivilegedSpace
from ocrrl.residual.observation_spaces.space import ObservationSpace
from ocrrl.residual.residual_config import ResidualConfig


def observation_space(config: ResidualConfig, environment: Environment, work: Path) -> ObservationSpace:
    """The one that `config.observation` names; frames are kept in the folder `work`."""
    if config.observation == "objects":
        return ObjectSpace(config, environment.tabletop_task)
    if config.observation == "privileged":
        return PrivilegedSpace(config, environment)
    cameras = image_cameras(config, environment)
    images = ImageSpace(config, environment, cameras, FrameStore(work, cameras, len(environment.tabletop_task.objects)))
    return images if config.observation == "images" else DistilledSpace(config, environment, images)
