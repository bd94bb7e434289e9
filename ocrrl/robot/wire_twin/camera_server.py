"""The camera process of the wire twin; rendering in the arm's process would slow the arm to a fifth.

`python -m ocrrl.robot.wire_twin.camera_server` follows the arm server's state and publishes each image with the simulated
time it shows: its name, then {time, height, width, colour, depth} with RGB bytes and float32
metres. It prints one line of JSON:
the address `images`, and `cameras` with the intrinsics, field of view [deg] and pose in the base frame of each.
"""

import argparse
import json

import msgpack
import numpy as np
import zmq

from ocrrl.robot.twin.twin import TWIN_LOOK
from ocrrl.robot.wire_twin.arm_server import LOOPBACK
from ocrrl.robot.wire_twin.processes import add_parent_argument, end_with
from ocrrl.robot.wire_twin.scene_simulator import scene_at, wire_twin_model
from ocrrl.sim.rgbd_camera import FOVY, RgbdCamera

FIELDS_OF_VIEW = {"front": FOVY, "wrist": TWIN_LOOK.cameras["wrist"].fovy}
"""[deg], of the whole height of each camera's image."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", required=True, help="its class, such as ocrrl.tabletop.cube_lift:Scene")
    parser.add_argument("--state", required=True, help="address of the arm server's state")
    add_parent_argument(parser)
    options = parser.parse_args()
    end_with(options.parent)
    model = wire_twin_model(scene_at(options.scene))
    cameras = {name: RgbdCamera(model, name, fovy) for name, fovy in FIELDS_OF_VIEW.items()}
    context = zmq.Context.instance()
    images, state = context.socket(zmq.PUB), context.socket(zmq.SUB)
    images.setsockopt(zmq.SNDHWM, 4)
    state.setsockopt(zmq.CONFLATE, 1)
    state.setsockopt(zmq.SUBSCRIBE, b"")
    state.connect(options.state)
    stands = {
        name: {"intrinsics": camera.intrinsics, "pose": camera.camera_pose.tolist(), "fovy": FIELDS_OF_VIEW[name]}
        for name, camera in cameras.items()
    }
    address = f"{LOOPBACK}:{images.bind_to_random_port(LOOPBACK)}"
    print(json.dumps({"images": address, "cameras": stands}), flush=True)
    generator = np.random.default_rng(0)
    while True:
        seen = msgpack.unpackb(state.recv())
        for name, camera in cameras.items():
            colour, depth = camera.render(np.array(seen["qpos"]), generator)
            message = {
                "time": seen["time"],
                "height": len(colour),
                "width": colour.shape[1],
                "colour": colour.tobytes(),
                "depth": depth.tobytes(),
            }
            images.send_multipart([name.encode(), msgpack.packb(message)])


if __name__ == "__main__":
    main()
