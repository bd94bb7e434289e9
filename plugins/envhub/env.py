"""EnvHub: `lerobot.envs.make_env("ORG/NAME", trust_remote_code=True)` runs this file of a repository on the hub."""

from ocrrl.front_door.lerobot_env import OcrrlEnvConfig

TASK = "cube_lift"


def make_env(n_envs: int = 1, use_async_envs: bool = False, cfg: OcrrlEnvConfig | None = None):
    """{"ocrrl": {0: a vector environment of `n_envs`}}, of `TASK` in the simulator unless `cfg` says otherwise."""
    return (cfg or OcrrlEnvConfig(task=TASK)).create_envs(n_envs, use_async_envs)
