"""Servers that answer, or fail, by a script; and what a test asks them with."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from ocrrl.policies.remote.handshake import agree, open_model
from ocrrl.policies.remote.remote_config import remote_config
from ocrrl.policies.remote.wire import ModalityConfig, pack_gr00t, pack_openpi, unpack_gr00t, unpack_openpi
from tests.policies.remote.recorded_messages import recorded
from tests.policies.remote.served import SIZE, robots
from tests.policies.synthetic import INSTRUCTION

SIZES = {"front": SIZE, "wrist": SIZE}
CHUNK = np.zeros((1, 8, 7))
OPENPI = {
    "type": "remote",
    "protocol": "openpi",
    "cameras": {"front": "observation/image", "wrist": "observation/wrist_image"},
    "state": {"observation/state": ["gripper_position", "gripper_rotation_vector", "finger_positions"]},
    "chunk_size": 8,
    "n_action_steps": 4,
    "timeout": 10.0,
    "first_timeout": 10.0,
}
GR00T = OPENPI | {
    "protocol": "gr00t",
    "cameras": {"front": "front", "wrist": "wrist"},
    "state": {"eef_position": "gripper_position"},
}


def gr00t_server(actions, as_text=True, video=("front", "wrist"), endpoints=None):
    """Answers as an Isaac-GR00T server; `actions` (n) gives the actions for n robots."""
    prefix, info = ("video.", "action.") if as_text else ("", ""), {}
    asked = []
    modalities = {
        "video": ModalityConfig((0,), tuple(prefix[0] + key for key in video), as_text),
        "action": ModalityConfig(tuple(range(8)), (f"{prefix[1]}actions",), as_text),
    }

    def answer(data):
        message = unpack_gr00t(data)
        endpoint = message["endpoint"]
        asked.append(message)
        if endpoints and endpoint in endpoints:
            return endpoints[endpoint]
        if endpoint == "ping":
            return recorded("gr00t_n16_ping.reply")
        if endpoint == "get_modality_config":
            return pack_gr00t(modalities)
        data = message["data"]
        count = len(data["video.front"] if as_text else data["observation"]["video"]["front"])
        reply = {f"{prefix[1]}actions": actions(count)}
        return pack_gr00t(reply if as_text else [reply, info])

    answer.asked, answer.modalities = asked, modalities
    return answer


class Openpi:
    """A stock openpi server; `broken` makes it fail in one way."""

    def __init__(self):
        self.broken, self.connections = "", 0

    def __call__(self, connection):
        self.connections += 1
        connection.send(recorded("openpi_metadata.reply"))
        for data in connection:
            message = unpack_openpi(data)
            assert message["observation/image"].shape == (*SIZE, 3), "one observation a request"
            if self.broken == "text":
                connection.send("Traceback (most recent call last):\n  ...\nKeyError: 'observation/side_image'\n")
                connection.close(1011, "Internal server error. Traceback included in previous frame.")
                return
            if self.broken == "1011":
                connection.close(1011, "it broke")
                return
            if self.broken == "silent":
                continue
            answer = {"actions": CHUNK[0], "server_timing": {"infer_ms": 1.0}}
            connection.send(pack_openpi({"other": np.zeros(3)} if self.broken == "other" else answer))


def zeros(count):
    return np.zeros((count, 8, 7))


def opened(policy, address, sizes=SIZES):
    return open_model(agree(remote_config(policy | {"address": address}), "real", sizes))


@contextmanager
def patience(vla, seconds):
    """The VLA's questions wait `seconds`; it was opened with a busy machine's time."""
    before = vla.model
    vla.model = replace(before, timeout=seconds)
    yield
    vla.model = before


def ask(vla, count=1):
    return vla.predict_chunk(*robots(count), INSTRUCTION)
