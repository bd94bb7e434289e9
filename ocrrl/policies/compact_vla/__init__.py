"""The default VLA as a LeRobot policy plugin, registered by importing this package.

`lerobot-train --policy.discover_packages_path=ocrrl.policies.compact_vla --policy.type=compact_vla` trains it. The
network, and the quick way to open a checkpoint without LeRobot, are in `ocrrl.policies`.
"""

from ocrrl.policies.compact_vla.configuration_compact_vla import CompactVLAConfig
from ocrrl.policies.compact_vla.modeling_compact_vla import CompactVLAPolicy
from ocrrl.policies.compact_vla.processor_compact_vla import (
    InstructionProcessorStep,
    make_compact_vla_pre_post_processors,
)

__all__ = ["CompactVLAConfig", "CompactVLAPolicy", "InstructionProcessorStep", "make_compact_vla_pre_post_processors"]
