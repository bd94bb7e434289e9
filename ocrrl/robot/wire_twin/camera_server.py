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

from ocrrl.interface.cameras import require_known_cameras
from ocrrl.robot.wire_twin.arm_server import LOOPBACK
from ocrrl.robot.wire_twin.processes import add_parent_argument, end_with
from ocrrl.robot.wire_twin.scene_simulator import scene_at, wire_twin_model
from ocrrl.sim.rgbd_camera import FOVY, HEIGHT, WIDTH, RgbdCamera

WIDER = {"front": FOVY}
"""[deg]: of a camera that sees more than the scene's of that name, since a VLA's image is a part of its."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", required=True, help="its class, such as ocrrl.tabletop.cube_lift:Scene")
    parser.add_argument("--state", required=True, help="address of the arm server's state")
    parser.add_argument("--cameras", nargs="+", required=True, help="their names, among those of the scene")
    add_parent_argument(parser)
    options = parser.parse_args()
    end_with(options.parent)
    model = wire_twin_model(scene_at(options.scene))
    known = [model.camera(i).name for i in range(model.ncam)]
    require_known_cameras(dict.fromkeys(options.cameras, (HEIGHT, WIDTH)), known, f"the scene {options.scene}")
    fields_of_view = {name: WIDER.get(name, float(model.cam_fovy[model.camera(name).id])) for name in options.cameras}
    cameras = {name: RgbdCamera(model, name, fovy) for name, fovy in fields_of_view.items()}
    context = zmq.Context.instance()
    images, state = context.socket(zmq.PUB), context.socket(zmq.SUB)
    images.setsockopt(zmq.SNDHWM, 4)
    state.setsockopt(zmq.CONFLATE, 1)
    state.setsockopt(zmq.SUBSCRIBE, b"")
    state.connect(options.state)
    stands = {
        name: {"intrinsics": camera.intrinsics, "pose": camera.camera_pose.tolist(), "fovy": fields_of_view[name]}
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
