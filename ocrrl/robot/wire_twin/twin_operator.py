"""Who stands beside the wire twin: sets its table by a message, and sees with true eyes whether the task is solved."""

import msgpack
import zmq

from ocrrl.interface.abort import Abort

WAIT = 30_000  # [ms] for the arm server's answer


class TwinOperator:
    """A `robot.operator.cell_operator.CellOperator`; asks nobody, since no robot moves."""

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
        if not self._table.poll(WAIT):
            raise RuntimeError(f"the wire twin's arm server must answer within {WAIT / 1000:g} s, it does not")
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
