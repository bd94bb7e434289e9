"""Small sound episodes to write, break and read back."""

from pathlib import Path

import numpy as np

from ocrrl.interface.actions import advance_command
from ocrrl.interface.episode import Episode, EpisodeAttributes
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.rollouts.record import collect_episodes
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_environment import ToyDemonstrator, ToyEnvironment


def demonstrated(seeds: list[int], cell: str = "twin", image_size: int = 16) -> list[Episode]:
    """One successful Cube Lift a seed, as `record` makes them."""
    environment = ToyEnvironment(len(seeds), cell, image_size)
    return list(
        collect_episodes(environment, ToyDemonstrator(environment), seeds, "scripted", {"fovy": 45.0}, {"ocrrl": "0"})
    )


def random_episode(steps: int = 12, seed: int = 0) -> Episode:
    """An episode of a rollout with every field set, positions wandering."""
    rng = np.random.default_rng(seed)
    joints = HOME_JOINTS + np.cumsum(rng.uniform(-0.01, 0.01, (steps, 7)), axis=0)
    pose, quaternion = FR3.gripper_pose(joints), np.tile([0.0, 1.0, 0.0, 0.0], (steps, 1))
    action = np.concatenate([rng.uniform(-0.01, 0.01, (steps, 3)), np.zeros((steps, 3)), np.ones((steps, 1))], axis=-1)
    commanded = [pose[0]]
    for step in range(steps - 1):
        commanded.append(advance_command(commanded[-1], pose[step], action[step]))
    return Episode(
        attributes=EpisodeAttributes(
            tabletop_task="cube_lift",
            instruction=CUBE_LIFT.instruction,
            operator="policy",
            cell="twin",
            success=True,
            seed=seed,
            calibration={"front": {"fovy": 30.0}},
            versions={"ocrrl": "0.1.0"},
            object_names=("cuboid",),
        ),
        images={name: rng.integers(0, 255, (steps, 12, 16, 3), dtype=np.uint8) for name in ("front", "wrist")},
        gripper_pose=pose,
        commanded_pose=np.stack(commanded),
        joint_positions=joints,
        gripper_width=rng.uniform(0, 0.08, steps),
        object_poses=np.concatenate([pose[:, :3], quaternion], axis=-1)[:, None],
        object_confidence=rng.random((steps, 1)),
        action=action,
        timestamps=np.arange(steps) / 20,
        base_action=np.zeros((steps, 7)),
        residual=np.zeros((steps, 7)),
    )


def assert_same_episode(left: Episode, right: Episode) -> None:
    """Every attribute and every number is equal."""
    assert left.attributes == right.attributes
    assert sorted(left.images) == sorted(right.images)
    for camera in left.images:
        np.testing.assert_array_equal(left.images[camera], right.images[camera])
    for name, value in vars(left).items():
        if name not in ("attributes", "images"):
            np.testing.assert_array_equal(value, getattr(right, name), err_msg=name)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under `folder` with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
