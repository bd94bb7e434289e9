"""`finetune` and `retrain` of a VLA on a policy server: nothing is trained here; the handshake is checked and vla.json written."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.policies.chunk_delay import measured_delay
from ocrrl.policies.chunked_policy import require_lasts
from ocrrl.policies.latency_file import NAME as LATENCY
from ocrrl.policies.latency_file import policy_kind, read_latency
from ocrrl.policies.remote.contract import contract_in
from ocrrl.policies.remote.handshake import agree
from ocrrl.policies.remote.remote_config import remote_config
from ocrrl.policies.remote.vla_file import BYTES_ELSEWHERE, write_vla_file

_IMAGES = "observation.images."


def publish_remote(
    policy: Mapping[str, Any], vla: str, datasets: Sequence[Path], out: Path, work: Path, latency: Path | None
) -> None:
    """Write the folder of the VLA of the pipeline named `vla` (sim, real, retrained, ...) to `out`, its server having answered.

    The cameras and image sizes are those of the LeRobotDatasets at `datasets`, which must agree. Raises ValueError for a
    mapping or latency that does not fit, PolicyFault for a server that fails.
    """
    model = agree(remote_config(policy), vla, image_sizes(datasets))
    folder = files.fresh_folder(work / "pretrained_model")
    write_vla_file(folder, model)
    if latency is not None:
        late = measured_delay(read_latency(latency, policy_kind(folder))).largest
        require_lasts(model.chunk_size, model.n_action_steps, late)
        shutil.copyfile(latency, folder / LATENCY)
    contract = contract_in(model.metadata)
    record = {
        "policy": dict(policy),
        "served": f"{model.identity} at {model.address}",
        "note": BYTES_ELSEWHERE,
        "steps": 0,
        "episodes": 0,
        "episode_names": [],
        "frames": 0,
        "instructions": list(contract.instructions) if contract else [],
        "loss": [],
    }
    files.write_json(folder / "training.json", record)
    files.publish(folder, out)
    shutil.rmtree(work, ignore_errors=True)
    print(f"{out}: {model.identity} at {model.address} ({model.protocol}); {BYTES_ELSEWHERE}")


def image_sizes(datasets: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Height and width of the images by camera, those that all `datasets` have; ValueError where they differ in size."""
    found: dict[str, tuple[int, int]] = {}
    for root in datasets:
        features = json.loads((root / "meta/info.json").read_text())["features"]
        for key, feature in features.items():
            if not key.startswith(_IMAGES):
                continue
            camera, (height, width, _) = key.removeprefix(_IMAGES), feature["shape"]
            if found.setdefault(camera, (height, width)) != (height, width):
                raise ValueError(
                    f"{root}: images of {camera} must be {found[camera]} pixels as in {datasets[0]}, got {(height, width)}"
                )
    return found
