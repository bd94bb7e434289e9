"""From a checkpoint of `lerobot-train` to an ordinary policy's folder: an adapter is merged, and what is published answers alike."""

from pathlib import Path
from typing import Any

import torch

from ocrrl.interface.lerobot_keys import STATE_KEY
from ocrrl.interface.weights_file import read_weights_file, some
from ocrrl.policies.lerobot_loading import lerobot_errors
from ocrrl.policies.lerobot_vla import open_lerobot_policy

ADAPTER = "adapter_config.json"
CLOSE, ROUNDED = 1e-4, 5e-2
"""Largest difference of two answers, in units of normalised actions: by rounding in float32, and of weights that have 16 bits."""
_INSTRUCTION = "pick up the object"


def publish_checkpoint(
    checkpoint: Path, start: Path, out: Path, device: str, policy_type: str, allow_remote_code: bool
) -> None:
    """Write the policy in `checkpoint` to the folder `out` as LeRobot does, whole weights, and its processors.

    An adapter (LoRA), which `checkpoint` then holds alone, is merged into the policy in `start` that it was trained on. Raises
    RuntimeError unless the published folder, opened again, gives the answer of the trained policy.
    """

    def opened(folder: Path) -> tuple[Any, Any, Any]:
        return open_lerobot_policy(folder, device, policy_type, allow_remote_code)

    adapter = (checkpoint / ADAPTER).exists()
    policy, preprocessor, postprocessor = opened(start if adapter else checkpoint)
    trained = with_adapter(policy, checkpoint) if adapter else policy
    expected = answer(trained, preprocessor)
    whole = trained.merge_and_unload() if adapter else trained
    whole.config.use_peft, whole.config.pretrained_path = False, None  # the latter is a path of this machine
    out.mkdir(parents=True)
    for part in (whole, preprocessor, postprocessor):
        part.save_pretrained(out)
    del policy, trained, whole
    policy, preprocessor, _ = opened(out)
    require_equal(expected, answer(policy, preprocessor), policy, out)


def with_adapter(policy: Any, adapter: Path) -> Any:
    """`policy` wrapped by peft with the adapter in the folder `adapter`.

    ValueError unless it holds exactly the adapter's tensors: peft leaves out what it does not know, and says so in a warning.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    weights = adapter / "adapter_model.safetensors"
    read_weights_file(weights).require_finite()
    with lerobot_errors(str(adapter)):
        wrapped = PeftModel.from_pretrained(policy, str(adapter))
    stored, held = load_file(weights), get_peft_model_state_dict(wrapped)
    wrong = [
        name
        for name in sorted({*stored, *held})
        if name not in stored
        or name not in held
        or not torch.equal(stored[name], held[name].to("cpu", stored[name].dtype))
    ]
    if wrong:
        raise ValueError(
            f"{weights} must hold the tensors of the adapter that adapter_config.json describes, got other {some(wrong)}"
        )
    return wrapped.eval()


def answer(policy: Any, preprocessor: Any) -> torch.Tensor:
    """The normalised actions (1, H, A) of `policy` for one made-up observation, always the same."""
    generator = torch.Generator().manual_seed(0)
    batch: dict[str, Any] = {
        name: torch.rand(1, *feature.shape, generator=generator)
        for name, feature in policy.config.image_features.items()
    }
    batch[STATE_KEY] = 0.1 * torch.rand(1, *policy.config.robot_state_feature.shape, generator=generator)
    batch["task"] = [_INSTRUCTION]
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        policy.eval()
        policy.reset()
        return policy.predict_action_chunk(preprocessor(batch)).float().cpu()


def require_equal(expected: torch.Tensor, got: torch.Tensor, policy: Any, folder: Path) -> None:
    """RuntimeError unless two answers are equal up to rounding."""
    full = all(value.dtype == torch.float32 for value in policy.parameters() if value.is_floating_point())
    most, difference = CLOSE if full else ROUNDED, float((expected - got).abs().max())
    if not difference <= most:
        raise RuntimeError(
            f"{folder} must answer as the policy that was trained, within {most:g} of a normalised action, got {difference:.3g}: "
            "nothing was published"
        )
