"""Keys at the terminal that say how an episode went, beside a device that moves the arm."""

from ocrrl.robot.operator.operator_at_terminal import FAILURE, STOP_KEYS, SUCCESS
from ocrrl.robot.operator.terminal_keys import CLOSED, TerminalKeys
from ocrrl.robot.teleoperation.device import DeviceReading, Event, TeleoperationDevice

KEYS: dict[str, Event] = {SUCCESS: "success", FAILURE: "failure", "d": "discard", **dict.fromkeys(STOP_KEYS, "stop")}


class LabelledByKeys:
    """`TeleoperationDevice`: the motion and events of another, and the events of the keys `KEYS`."""

    def __init__(self, device: TeleoperationDevice, keys: TerminalKeys) -> None:
        self._device, self._keys = device, keys
        self._said: frozenset[str] = frozenset()

    def begin(self, seed: int) -> None:
        self._device.begin(seed)
        self._keys.begin()
        self._said = frozenset()

    def read(self) -> DeviceReading:
        reading = self._device.read()
        newly = self._keys.pressed - self._said
        self._said |= newly
        if CLOSED in newly:
            raise RuntimeError("the terminal must stay open during an episode, it was closed")
        said: frozenset[Event] = frozenset(KEYS[key] for key in newly if key in KEYS)
        return DeviceReading(reading.motion, reading.events | said)

    def end(self) -> None:
        self._keys.end()
        self._device.end()

    def close(self) -> None:
        self.end()
        self._device.close()
