"""A checkpoint that answers questions, whatever protocol they come by.

Legend: n robots of one question, H actions in a chunk.
"""

import hmac
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl import files
from ocrrl.interface.json_file import read_json_object
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH, WORKSPACE_CENTRE, RobotState
from ocrrl.interface.protocols import VLA
from ocrrl.policies.latency_file import policy_kind
from ocrrl.policies.remote.contract import Camera, Contract
from ocrrl.policies.remote.serving.batcher import Batcher, Chunks, Counters
from ocrrl.policies.remote.tokens import Token

STATE = {"gripper_pose": 7, "commanded_pose": 7, "joint_positions": 7, "gripper_width": 1}
"""The words of the robot's state that every checkpoint is sent, and how many numbers each has."""
TASK = "pick up the object"


class Service:
    """Answers by `vla`, by the keys of `contract`; everything that was received is checked first."""

    def __init__(self, vla: VLA, contract: Contract, max_wait: float, token: Token | None) -> None:
        """`max_wait` [s] that a question waits for others to be answered with."""
        self.contract, self._token, self.counters = contract, token, Counters()
        self._batcher = Batcher(vla.predict_chunk, contract.max_batch, max_wait, self.counters)

    def admits(self, token: object) -> bool:
        """Whether `token`, which a client sent, is the server's; any is where the server has none."""
        if self._token is None:
            return True
        return isinstance(token, str) and hmac.compare_digest(token.encode(), self._token.reveal().encode())

    def answer(self, images: Mapping[str, Any], state: Mapping[str, Any], instruction: Any) -> Future[Chunks]:
        """The chunks for n robots, `images` (n, h, w, 3) and `state` (n, d) by the contract's keys; ValueError names what is wrong."""
        self.counters.add(requests=1)
        if not isinstance(instruction, str) or not 1 <= len(instruction) <= 1000:
            raise ValueError(f"{self.contract.prompt} must be a text of 1 to 1000 characters")
        frames = {name: _frames(images, camera) for name, camera in self.contract.cameras.items()}
        count = len(next(iter(frames.values())))
        numbers = {words[0]: _numbers(state, key, count, STATE[words[0]]) for key, words in self.contract.state.items()}
        for name, camera in self.contract.cameras.items():
            if len(frames[name]) != count:
                raise ValueError(
                    f"{camera.key} must have as many robots as the other cameras, {count}, got {len(frames[name])}"
                )
        robot = RobotState(
            numbers["gripper_pose"],
            numbers["commanded_pose"],
            numbers["joint_positions"],
            numbers["gripper_width"][:, 0],
        )
        return self._batcher.submit(frames, robot, instruction)

    def close(self) -> None:
        """Answer what waits, then end."""
        self._batcher.close()


def contract_of(folder: Path, vla: VLA, max_batch: int, image_key: str, state_key: str, prompt: str) -> Contract:
    """Of the checkpoint in `folder`, opened as `vla`; keys are `image_key` and `state_key`, each with a place for the name."""
    kind, record = policy_kind(folder), folder / "training.json"
    known = read_json_object(record).get("instructions") if record.is_file() else None
    instructions = known if isinstance(known, list) and all(isinstance(each, str) for each in known) else ()
    return Contract(
        identity=files.fingerprint(folder),
        policy=kind["type"],
        cameras={name: Camera(image_key.format(name), (size[0], size[1])) for name, size in kind["images"].items()},
        state={state_key.format(word): (word,) for word in STATE},
        prompt=prompt,
        actions={},
        chunk_size=vla.chunk_size,
        n_action_steps=vla.n_action_steps,
        max_batch=max_batch,
        instructions=tuple(instructions),
    )


def warm_up(vla: VLA, contract: Contract) -> None:
    """One answer before anybody asks: what compiles does, and a checkpoint that cannot act says so."""
    state = np.concatenate([WORKSPACE_CENTRE, GRIPPER_DOWN, [MAX_GRIPPER_WIDTH]])[None]
    images = {name: np.zeros((1, *camera.size, 3), np.uint8) for name, camera in contract.cameras.items()}
    vla.predict_chunk(images, RobotState.at_rest(state), contract.instructions[0] if contract.instructions else TASK)


def _frames(images: Mapping[str, Any], camera: Camera) -> np.ndarray:
    found = images.get(camera.key)
    shape = (*camera.size, 3)
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.ndim != 4 or found.shape[1:] != shape:
        got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "none"
        raise ValueError(f"{camera.key} must be images of shape {('robots', *shape)} and type uint8, got {got}")
    if not len(found):
        raise ValueError(f"{camera.key} must have at least one robot, got none")
    return found


def _numbers(state: Mapping[str, Any], key: str, count: int, width: int) -> np.ndarray:
    found = state.get(key)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu" or found.shape != (count, width):
        got = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else "none"
        raise ValueError(f"{key} must be numbers of shape ({count}, {width}), got {got}")
    if not np.isfinite(found).all():
        raise ValueError(f"{key} must be finite numbers, got NaN or infinity")
    return found.astype(np.float64)
