"""What a VLA is trained on: a LeRobotDataset, whole or some of its episodes, of this robot's state and action."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ocrrl.datasets.frames.decoded_frames import DecodedDataset, decode_dataset, read_numbers, select_episodes
from ocrrl.datasets.sidecar import FOLDER, chunk_steps, frame_weights, read_sidecar
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import PROPRIOCEPTION_DIM
from ocrrl.layout import DECODED_FRAMES


@dataclass(frozen=True)
class TrainingData:
    """A LeRobotDataset, and which of its episodes are trained on: by their names in the sidecar, or None for all."""

    root: Path
    episodes: list[str] | None = None

    def decode(self) -> DecodedDataset:
        """The episodes, frames on disk at the dataset's own size: random shifts and a policy's own resizing come after."""
        return self._checked(decode_dataset(self.root, cache=DECODED_FRAMES))

    def numbers(self) -> DecodedDataset:
        """The episodes without their frames."""
        return self._checked(read_numbers(self.root))

    def interventions(self) -> list[dict[str, Any]]:
        """Of each episode that somebody stepped into: its source, tabletop task, cell, length, and the frames in which they acted."""
        listed = read_sidecar(self.root) if (self.root / FOLDER).is_dir() else []
        return [
            {name: getattr(entry, name) for name in ("source", "tabletop_task", "cell", "length", "interventions")}
            for entry in listed
            if entry.interventions and (self.episodes is None or entry.source in self.episodes)
        ]

    def _checked(self, data: DecodedDataset) -> DecodedDataset:
        data = replace(data, weight=frame_weights(self.root), chunk_steps=chunk_steps(self.root))
        if self.episodes is not None:
            data = select_episodes(data, self.root, self.episodes)
        _check(data, self.root)
        return data


def _check(data: DecodedDataset, root: Path) -> None:
    for name, width, needed in (
        ("observation.state", data.state.shape[1], PROPRIOCEPTION_DIM),
        ("action", data.action.shape[1], ACTION_DIM),
    ):
        if width != needed:
            raise ValueError(f"{root}: {name} must have {needed} numbers a frame, got {width}")
    if not len(data.action):
        raise ValueError(f"{root} must hold at least one frame, got none")
