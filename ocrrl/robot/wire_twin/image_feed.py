"""Feeds images of the wire twin's camera process into software cameras, as USB does for real ones."""

import threading
from collections.abc import Mapping

import msgpack
import numpy as np
import zmq

from ocrrl.perception.cameras.software_camera import SoftwareCamera

WAIT = 100  # [ms] for an image, before looking whether the feed was closed


class ImageFeed:
    """A thread that pushes each image published at `address` into the software camera of its name."""

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
            if not self._socket.poll(WAIT):
                continue
            name, packed = self._socket.recv_multipart()
            image = msgpack.unpackb(packed)
            height, width = image["height"], image["width"]
            colour = np.frombuffer(image["colour"], np.uint8).reshape(height, width, 3)
            depth = np.frombuffer(image["depth"], np.float32).reshape(height, width)
            self._cameras[name.decode()].push(colour, depth, image["time"])
