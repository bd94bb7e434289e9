"""LeRobot's pre- and postprocessor of the default VLA: the standard steps, and one that embeds the instruction."""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from lerobot.lerobot_types import EnvTransition, TransitionKey
from lerobot.processor import (
    PolicyAction,
    PolicyProcessorPipeline,
    ProcessorStep,
    ProcessorStepRegistry,
    make_default_policy_processor_steps,
    make_policy_processor_pipelines,
)

from ocrrl.interface.lerobot_keys import ACTION_KEY, STATE_KEY
from ocrrl.policies.compact_checkpoint import INSTRUCTION_STEP
from ocrrl.policies.compact_vla.configuration_compact_vla import CompactVLAConfig
from ocrrl.policies.language import InstructionEncoder
from ocrrl.policies.normalisation import ACTION_STD_FLOOR, STATE_STD_FLOOR, floored

INSTRUCTION_KEY = "observation.instruction"


@dataclass
@ProcessorStepRegistry.register(name=INSTRUCTION_STEP)
class InstructionProcessorStep(ProcessorStep):
    """Adds `observation.instruction` (B, 384) for the batch's tasks; the embeddings made so far are its state."""

    encoder: str
    instructions: list[str] = field(default_factory=list)

    def __post_init__(self):
        self._language = InstructionEncoder(self.encoder)

    def __call__(self, transition: EnvTransition) -> EnvTransition:
        tasks = (transition.get(TransitionKey.COMPLEMENTARY_DATA) or {}).get("task")
        if not isinstance(tasks, list | tuple):
            raise ValueError(f"task must be the list of the batch's instructions, got {tasks!r}")
        embeddings = torch.from_numpy(np.stack([self._language.embed(task) for task in tasks]))
        observation = dict(transition.get(TransitionKey.OBSERVATION) or {}) | {INSTRUCTION_KEY: embeddings}
        return cast(EnvTransition, {**transition, TransitionKey.OBSERVATION: observation})

    def get_config(self) -> dict[str, Any]:
        return {"encoder": self.encoder, "instructions": list(self._language.known)}

    def state_dict(self) -> dict[str, torch.Tensor]:
        known = self._language.known
        return {"embeddings": torch.from_numpy(np.stack(list(known.values())))} if known else {}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        embeddings = state["embeddings"].cpu().numpy()
        self._language.known = dict(zip(self.instructions, embeddings, strict=True))

    def transform_features(self, features):
        return features


def make_compact_vla_pre_post_processors(
    config: CompactVLAConfig, dataset_stats: dict[str, dict[str, Any]] | None = None
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]], PolicyProcessorPipeline[PolicyAction, PolicyAction]
]:
    """Rename, batch, embed the instruction, device, standardise; and back.

    Deviations get the same floors as in `finetune`.
    """
    stats = {key: dict(values) for key, values in (dataset_stats or {}).items()}
    for key, floor in ((STATE_KEY, STATE_STD_FLOOR), (ACTION_KEY, ACTION_STD_FLOOR)):
        if "std" in stats.get(key, {}):
            stats[key]["std"] = floored(np.asarray(stats[key]["std"]), floor)
    steps = make_default_policy_processor_steps(config, stats)
    instruction = InstructionProcessorStep(InstructionEncoder.choose(config.language).encoder)
    return make_policy_processor_pipelines(
        input_steps=[steps.rename_observations, steps.add_batch_dim, instruction, steps.to_device, steps.normalize],
        output_steps=[steps.unnormalize, steps.to_cpu],
    )
