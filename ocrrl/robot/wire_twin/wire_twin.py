"""The wire twin as a cell: starts its processes and connects the real drivers to them."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgpack
import numpy as np
import zmq

from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Intrinsics
from ocrrl.interface.protocols import Abort
from ocrrl.perception.cameras.realsense_reader import RealSenseReader
from ocrrl.perception.cameras.software_camera import SoftwareCamera
from ocrrl.robot.arm.arm import Arm
from ocrrl.robot.arm.franky_arm import FrankyArm
from ocrrl.robot.cell.arm_cell import assemble, make_tracker
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.cell_file import CameraSection, CellFile
from ocrrl.robot.cell.cell_images import CellCamera
from ocrrl.robot.safety.fault_log import FAULTS, FaultLog
from ocrrl.robot.wire_twin.processes import ServerProcess
from ocrrl.robot.wire_twin.scene_simulator import scene_path
from ocrrl.tabletop.parts.scene import TabletopScene

NAME = "wire_twin"
CELL_FILE = Path("cells/wire_twin.yaml")
SPEED = 0.4
"""Of its clock beside the wall's: one machine simulates the arm, renders the cameras and runs the VLA, which a real cell has
hardware for; at full speed on two cores images and actions come too late."""
IMAGE_WAIT = 100  # [ms] for an image, before looking whether the feed was closed
TABLE_WAIT = 30_000  # [ms] for the arm server's answer


def open_wire_twin(
    scene: TabletopScene,
    folder: Path,
    clock: Callable[[], float],
    file: CellFile,
    inspected: Callable[[Arm], Arm] = lambda arm: arm,
    cameras: CameraSizes = DEFAULT_CAMERAS,
) -> ArmEnvironment:
    """The wire twin of `file` with the tabletop task of `scene`; its logs go to `folder`, `clock` [s] dates its faults.

    `inspected` may put an arm of its own between the safety gate and the driver; `cameras` are those whose images are taken.
    Raises ValueError for one that `file` has not got, RuntimeError when a process does not start.
    """
    task, views = scene.task, file.views(cameras, CELL_FILE)
    with ExitStack() as opened:
        arm_server = _started(opened, "arm_server", ("--scene", scene_path(scene), "--speed", str(SPEED)), folder)
        arguments = ("--scene", scene_path(scene), "--state", arm_server.told["state"], "--cameras", *file.cameras)
        camera_server = _started(opened, "camera_server", arguments, folder)
        arm = FrankyArm(replace(file.arm, host=arm_server.told["robot"]))
        opened.callback(arm.close)
        stands = camera_server.told["cameras"]
        devices = {name: _device(file.cameras[name], stands[name]) for name in file.cameras}
        opened_cameras = {}
        for name, section in file.cameras.items():
            pose = None if section.on_hand else np.array(stands[name]["pose"])
            reader = RealSenseReader(devices[name], arm.now, pose)
            opened.callback(reader.close)
            attributes = {"serial": section.serial, "on_hand": section.on_hand} | stands[name]
            opened_cameras[name] = CellCamera(reader, views.get(name), attributes)
        feed = ImageFeed(camera_server.told["images"], devices)
        opened.callback(feed.close)
        operator = TwinOperator(arm_server.told["state"], arm_server.told["table"])
        opened.callback(operator.close)
        environment = assemble(
            name=NAME,
            task=task,
            file=file,
            arm=inspected(arm),
            cameras=opened_cameras,
            tracker=make_tracker(task, file.tracking, FR3),
            operator=operator,
            on_fault=FaultLog(folder / FAULTS, clock),
            first_closed=(feed,),
            last_closed=(camera_server, arm_server),
        )
        opened.pop_all()  # from here on the environment closes them
        return environment


def _started(opened: ExitStack, module: str, arguments: tuple[str, ...], folder: Path) -> ServerProcess:
    process = ServerProcess(f"{__package__}.{module}", arguments, folder / f"{module}.log")
    opened.callback(process.close)
    return process


def _device(section: CameraSection, stands: dict) -> SoftwareCamera:
    return SoftwareCamera(
        Intrinsics(*stands["intrinsics"]), section.frames_per_second, section.serial, has_depth=section.depth
    )


class ImageFeed:
    """A thread that pushes each image published at `address` into the software camera of its name, as USB does for real ones."""

    def __init__(self, address: str, cameras: Mapping[str, SoftwareCamera]) -> None:
        """Begin at once; `cameras` by the names that images come under."""
        self._cameras = cameras
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 4)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(address)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="images", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close(linger=0)

    def _follow(self) -> None:
        while not self._over.is_set():
            if not self._socket.poll(IMAGE_WAIT):
                continue
            name, packed = self._socket.recv_multipart()
            image = msgpack.unpackb(packed)
            height, width = image["height"], image["width"]
            colour = np.frombuffer(image["colour"], np.uint8).reshape(height, width, 3)
            depth = np.frombuffer(image["depth"], np.float32).reshape(height, width)
            self._cameras[name.decode()].push(colour, depth, image["time"])


class TwinOperator:
    """A `robot.operator.cell_operator.CellOperator`; asks nobody, since no robot moves.

    It sets the table by a message and labels success from the simulator's true state.
    """

    def __init__(self, state: str, table: str) -> None:
        """`state` and `table` are the arm server's addresses."""
        context = zmq.Context.instance()
        self._state, self._table = context.socket(zmq.SUB), context.socket(zmq.REQ)
        self._state.setsockopt(zmq.CONFLATE, 1)
        self._state.setsockopt(zmq.SUBSCRIBE, b"")
        self._state.connect(state)
        self._table.setsockopt(zmq.LINGER, 0)
        self._table.connect(table)
        self._solved = False

    def clear(self) -> None:
        pass

    def set_up(self, seed: int) -> None:
        self._table.send(msgpack.packb({"seed": seed}))
        if not self._table.poll(TABLE_WAIT):
            raise RuntimeError(f"the wire twin's arm server must answer within {TABLE_WAIT / 1000:g} s, it does not")
        self._table.recv()
        self._solved = False

    def enabled(self) -> bool:
        return True

    def solved(self) -> bool:
        if self._state.poll(0):
            self._solved = bool(msgpack.unpackb(self._state.recv())["solved"])
        return self._solved

    def said_solved(self) -> bool:
        return False  # it sees and says nothing: what it sees must last

    def ended(self) -> Abort | None:
        return None

    def stopped_arm(self, fault: str) -> bool:
        return False

    def close(self) -> None:
        self._state.close(linger=0)
        self._table.close(linger=0)
