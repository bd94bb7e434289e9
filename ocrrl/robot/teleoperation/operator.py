"""The operator of a recording session at the terminal: questions before and after an episode, keys during it."""

from dataclasses import replace
from typing import Literal, Protocol

from ocrrl.robot.operator.operator_at_terminal import FAILURE, STOP_KEYS, SUCCESS
from ocrrl.robot.operator.operator_prompt import Ask, ask_at_terminal
from ocrrl.robot.operator.terminal_keys import CLOSED, TerminalKeys
from ocrrl.robot.teleoperation.device import DeviceReading, Event, TeleoperationDevice

Label = Literal["success", "failure", "discard"]
SILENCES = 3  # an Enter that slipped throws no demonstration away, and a terminal that is gone is not asked for ever
_ANSWERS: dict[str, Label] = {"s": "success", "f": "failure", "d": "discard"}
KEYS: dict[str, Event] = {SUCCESS: "success", FAILURE: "failure", "d": "discard", **dict.fromkeys(STOP_KEYS, "stop")}


class Operator(Protocol):
    """Answers before an arm moves and after an episode; whoever does not answer lets nothing move."""

    name: str

    def confirm(self, question: str) -> bool:
        """Whether to go on; False ends the session."""
        ...

    def label(self, question: str) -> Label | None:
        """How an episode went that ended without a word; None where nobody answers."""
        ...


class TerminalOperator:
    """`Operator` at the terminal."""

    def __init__(self, name: str, ask: Ask = ask_at_terminal) -> None:
        self.name, self._ask = name, ask

    def confirm(self, question: str) -> bool:
        """`y` goes on; `q`, or nobody there to answer, does not."""
        while True:
            answer = self._ask(f"{question} [y: continue, q: end the session] ").lower()
            if answer in ("y", "yes"):
                return True
            if answer in ("", "q"):
                return False

    def label(self, question: str) -> Label | None:
        """One of the three; nobody is there to answer where nothing is said `SILENCES` times in a row."""
        silent = 0
        while silent < SILENCES:
            answer = self._ask(f"{question} [s: success, f: failure, d: discard] ").lower()
            if answer in _ANSWERS:
                return _ANSWERS[answer]
            silent = 0 if answer else silent + 1
        return None


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
        return replace(reading, events=reading.events | said)

    def follow(self, opening: float) -> None:
        self._device.follow(opening)

    def end(self) -> None:
        self._keys.end()
        self._device.end()

    def close(self) -> None:
        self.end()
        self._device.close()
