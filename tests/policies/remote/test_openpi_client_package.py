"""openpi's own client, from the package registry, talks to our server.

openpi-client 0.1.2 asks for numpy < 2 and works with numpy 2: it is installed without its dependencies, into the test's own folder.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from ocrrl.policies.checkpoint import load_vla
from tests.policies.remote.served import robots, served
from tests.policies.synthetic import INSTRUCTION

PACKAGE = "openpi-client==0.1.2"
CLIENT = """
import sys
import numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy

question = dict(np.load(sys.argv[2]))
client = WebsocketClientPolicy(host="127.0.0.1", port=int(sys.argv[1]), api_key="hunter2")
metadata = client.get_server_metadata()["ocrrl"]
assert metadata["chunk_size"] == 8 and metadata["cameras"]["front"]["size"] == [32, 32], metadata
answer = client.infer({**question, "prompt": sys.argv[4]})
np.save(sys.argv[3], answer["actions"])
try:
    client.infer({"prompt": "nothing else"})
except RuntimeError as error:
    assert "observation/images/front must be images" in str(error), error
else:
    raise SystemExit("a question without images was answered")
"""


@pytest.mark.slow
def test_openpi_s_own_client_is_answered_as_in_process(compact, tmp_path):
    install = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "package"), PACKAGE]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed here: {done.stderr.strip()[-200:]}")
    images, robot = robots(1)
    state = {
        "gripper_pose": robot.gripper_pose,
        "commanded_pose": robot.commanded_pose,
        "joint_positions": robot.joint_positions,
        "gripper_width": robot.gripper_width[:, None],
    }
    question = {f"observation/images/{name}": frames[0] for name, frames in images.items()}
    question |= {f"observation/{name}": numbers[0] for name, numbers in state.items()}
    np.savez(tmp_path / "question.npz", **question)
    with served(compact, "openpi", token="hunter2") as (address, _):
        words = [address.rpartition(":")[2], "question.npz", "answer.npy", INSTRUCTION]
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "package")}
        asked = subprocess.run(
            [sys.executable, "-c", CLIENT, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert asked.returncode == 0, asked.stderr
    expected = load_vla(compact, "cpu").predict_chunk(images, robot, INSTRUCTION)
    np.testing.assert_allclose(np.load(tmp_path / "answer.npy"), expected[0], atol=1e-6, rtol=0)
