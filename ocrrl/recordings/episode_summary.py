"""One episode in a few lines: how long, what its numbers range over, its cameras, its words."""

from dataclasses import asdict, dataclass

import numpy as np

from ocrrl.interface.episode import Episode


@dataclass(frozen=True)
class EpisodeSummary:
    """What a person looks at first."""

    origin: str
    steps: int
    seconds: float
    instruction: str
    operator: str
    cell: str
    success: bool
    cameras: dict[str, list[int]]
    """Height and width by name, as they go into the dataset."""
    ranges: dict[str, list[float]]
    """Least and greatest of each field, metres and radians."""
    objects: list[str]

    def lines(self) -> list[str]:
        """The summary as text."""
        cameras = ", ".join(f"{name} {height} x {width}" for name, (height, width) in self.cameras.items())
        rows = [
            f"one episode, {self.origin}: {self.steps} steps, {self.seconds:.1f} s, {'success' if self.success else 'failure'}",
            f"  instruction: {self.instruction}",
            f"  cell: {self.cell}; operator: {self.operator}; objects: {', '.join(self.objects) or 'no poses'}",
            f"  cameras: {cameras}",
        ]
        return rows + [f"  {name}: {low:.3f} to {high:.3f}" for name, (low, high) in self.ranges.items()]

    def document(self) -> dict:
        """The summary as JSON values."""
        return asdict(self)


def summary_of(origin: str, episode: Episode) -> EpisodeSummary:
    """The summary of a sound episode."""
    attributes = episode.attributes
    fields = {
        "gripper x [m]": episode.gripper_pose[:, 0],
        "gripper y [m]": episode.gripper_pose[:, 1],
        "gripper z [m]": episode.gripper_pose[:, 2],
        "gripper width [m]": episode.gripper_width,
        "joints [rad]": episode.joint_positions,
        "commanded opening": episode.action[:, 6],
        "translation step [m]": np.linalg.norm(episode.action[:, :3], axis=-1),
        "rotation step [rad]": np.linalg.norm(episode.action[:, 3:6], axis=-1),
    }
    if episode.object_poses is not None:
        for index, name in enumerate(attributes.object_names):
            fields[f"{name} z [m]"] = episode.object_poses[:, index, 2]
    return EpisodeSummary(
        origin=origin,
        steps=len(episode),
        seconds=len(episode) / attributes.control_hz,
        instruction=attributes.instruction,
        operator=attributes.operator,
        cell=attributes.cell,
        success=attributes.success,
        cameras={name: [int(n) for n in frames.shape[1:3]] for name, frames in sorted(episode.images.items())},
        ranges={name: [float(values.min()), float(values.max())] for name, values in fields.items()},
        objects=list(attributes.object_names),
    )
