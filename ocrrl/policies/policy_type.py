"""The policy type of a VLA, and those that a loop expects; imports no torch, so that a stage's main process need not."""

from pathlib import Path
from typing import TYPE_CHECKING

from ocrrl.interface.json_file import read_json_object, said
from ocrrl.policies.latency_file import VLA_FILE

if TYPE_CHECKING:
    from ocrrl.params import Params

COMPACT = "compact_vla"
"""The default VLA's."""
REMOTE = "remote"
"""Of a VLA on a policy server (`ocrrl.policies.remote`)."""
TRAINED_BY = ("finetune", "retrain")
TRAINED_BY_ALL = "retrain_multitask"


def expected_policies(params: "Params", tabletop_task: str) -> dict[str, bool]:
    """The policy types that the VLAs of a loop are trained as, each with its `allow_remote_code`.

    All sections that train count, since a later round goes on with what the one before promoted. No stage's result depends on
    them, only whether a checkpoint is opened at all, so dvc.yaml does not list them where a VLA is only used.
    """
    configs = [params.config(section, tabletop_task) for section in TRAINED_BY]
    configs.append(params.multitask_config(TRAINED_BY_ALL))
    allowed: dict[str, bool] = {}
    for config in configs:
        kind = config.policy["type"]
        allowed[kind] = allowed.get(kind, False) or config.policy.get("allow_remote_code", False)
    return allowed


def policy_type(path: Path) -> str:
    """The LeRobot policy type that the checkpoint at `path` names, or `remote` for a folder with a vla.json.

    Raises FileNotFoundError if there is none, ValueError for a config.json that is damaged or names no type, and for both files.
    """
    config = path / "config.json"
    if (path / VLA_FILE).is_file():
        if config.exists():
            raise ValueError(
                f"{path} must hold config.json (a model) or {VLA_FILE} (a model on a server), got both; remove one"
            )
        return REMOTE
    if not config.is_file():
        raise FileNotFoundError(
            f"{path} must be a LeRobot pretrained_model folder with a config.json, got no such file"
        )
    kind = read_json_object(config).get("type")
    if not isinstance(kind, str):
        raise ValueError(f"{config}: type must be the name of a LeRobot policy type, got {said(kind)}")
    return kind
