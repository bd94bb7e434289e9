"""Reads foreign files in a child process, whose crash the caller survives.

libhdf5 and FFmpeg crash on some damaged files, and a few bytes can ask for gigabytes or for hours. The process is a new
interpreter (nothing is forked, no main module is imported) with a limit on its memory and on its processor time.
"""

import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ocrrl.episodes.episode_checks import EpisodeRejected

SPARE_MEMORY = 250 * 10**6
"""Bytes that the process may take beyond what the libraries took, whatever its limit."""
START_SECONDS = 120.0
"""For the interpreter to start and to import the libraries, on a machine with other work too."""
_WALL_PER_CPU = 5.0  # where other work shares the cores, or the disk is slow
_WALL_LEAST = 60.0
_spare: list[tuple[int, "_Process"]] = []  # of this process id: started, idle, for the next caller


class ProcessEnded(Exception):
    """The call ended the process, took too long or too much memory; the message says which. The next call starts anew."""


class UnforeseenError(Exception):
    """A bug of ours: the call raised something that is no refusal. `trace` is its traceback."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


class UnforeseenLog:
    """The file of tracebacks of our own bugs in one run; it is there only when there was one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun = False

    def note(self, origin: str, error: UnforeseenError) -> str:
        """Keep the traceback; returns the line for the report."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a" if self._begun else "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{origin}\n{error.trace}\n")
        self._begun = True
        first = str(error).splitlines()[0][:200]
        return f"unforeseen {first}; traceback in {self.path}"


class Expendable[T]:
    """An object that lives in a process of its own: `call` its methods, or `begin` one and take its `result` later.

    `make(*arguments)` makes the object; both are pickled, and again whenever the process has to be started anew.
    """

    def __init__(self, make: Callable[..., T], *arguments: object, max_bytes: int) -> None:
        self._make, self._arguments, self._max_bytes = make, arguments, max_bytes
        self._process: _Process | None = None
        self._cpu_seconds = 0.0

    def call(self, method: str, *arguments: object, cpu_seconds: float) -> Any:
        """What `method` of the object gives. Raises as `result`."""
        self.begin(method, *arguments, cpu_seconds=cpu_seconds)
        return self.result()

    def begin(self, method: str, *arguments: object, cpu_seconds: float) -> None:
        """Start a call; one at a time."""
        if self._process is None:
            self._process = _take_spare() or _Process()
            try:
                self._process.send(("make", str(Path.cwd()), self._max_bytes, self._make, self._arguments))
                self._process.answer(START_SECONDS)
            except _Gone as gone:
                self._end()
                raise RuntimeError(f"a process that reads recordings must start, got its end ({gone})") from None
        self._cpu_seconds = cpu_seconds
        with suppress(_Gone):  # `result` says how
            self._process.send(("call", method, arguments, cpu_seconds))

    def result(self) -> Any:
        """The result of the call that has begun.

        Raises `EpisodeRejected` as the call did, ProcessEnded where the process is gone, UnforeseenError for any other error.
        """
        process = self._process
        if process is None:
            raise RuntimeError("a call must have begun before its result is asked for")
        seconds = max(_WALL_LEAST, _WALL_PER_CPU * self._cpu_seconds)
        try:
            kind, *content = process.answer(seconds)
        except TimeoutError:
            self._end()
            raise ProcessEnded(f"took longer than {seconds:.0f} s") from None
        except _Gone as gone:
            self._end()
            raise ProcessEnded(self._how_it_ended(gone.code)) from None
        if kind == "memory":  # what it holds now is not known
            self._end()
            raise ProcessEnded(f"needed more than {self._max_bytes / 1e9:g} GB (max_episode_gb)")
        if kind == "refused":
            raise EpisodeRejected(*content)
        if kind == "unforeseen":
            raise UnforeseenError(*content)
        return content[0]

    def close(self) -> None:
        """Leave the process to the next caller."""
        if self._process is not None:
            _spare.append((os.getpid(), self._process))
            self._process = None

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def _how_it_ended(self, code: int) -> str:
        if code == -signal.SIGXCPU:
            return f"took longer than {self._cpu_seconds:.0f} s of processor time"
        if code == -signal.SIGKILL:
            return "ended the process (signal 9, as the kernel does where memory is short)"
        return f"ended the process ({f'signal {-code}' if code < 0 else f'exit code {code}'})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if error is None:
            self.close()
        else:  # a call may be under way
            self._end()


class _Gone(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class _Process:
    """The interpreter, and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve a gigabyte before they need it
            }
            code = f"from ocrrl.recordings.expendable import _serve; _serve({theirs.fileno()})"
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        self._connection = Connection(ours.detach())

    def send(self, message: object) -> None:
        try:
            _send(self._connection, message)
        except OSError:
            raise _Gone(self._child.wait()) from None

    def answer(self, seconds: float) -> Any:
        try:
            if not self._connection.poll(seconds):
                raise TimeoutError
            return _receive(self._connection)
        except (EOFError, ConnectionError):
            raise _Gone(self._child.wait()) from None

    def alive(self) -> bool:
        return self._child.poll() is None

    def end(self) -> None:
        self._connection.close()
        self._child.kill()
        self._child.wait()


def _take_spare() -> _Process | None:
    while _spare:
        owner, process = _spare.pop()
        if owner == os.getpid() and process.alive():
            return process
    return None


def _send(connection: Connection, message: object) -> None:
    """`message`, its arrays not copied into the pickle."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    connection.send_bytes(len(buffers).to_bytes(4, "little") + content)
    for buffer in buffers:
        connection.send_bytes(buffer.raw())


def _receive(connection: Connection) -> Any:
    content = connection.recv_bytes()
    buffers = [bytearray(connection.recv_bytes()) for _ in range(int.from_bytes(content[:4], "little"))]
    return pickle.loads(content[4:], buffers=buffers)


def _serve(descriptor: int) -> None:
    """What the process does: make the object, answer calls, until the caller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this process
    _limit(resource.RLIMIT_CORE, 0)
    connection, target = Connection(descriptor), None
    while True:
        try:
            message = _receive(connection)
        except (EOFError, ConnectionError):
            return
        try:
            if message[0] == "make":
                _, folder, max_bytes, make, arguments = message
                os.chdir(folder)  # relative paths are the caller's, who may have gone elsewhere
                _limit(resource.RLIMIT_DATA, None)
                _limit(resource.RLIMIT_CPU, None)
                target = make(*arguments)
                _limit(resource.RLIMIT_DATA, max(max_bytes, _data_bytes() + SPARE_MEMORY))
                answer: tuple = ("done", None)
            else:
                _, method, arguments, cpu_seconds = message
                _limit(resource.RLIMIT_CPU, int(time.process_time() + cpu_seconds) + 1)
                answer = ("done", getattr(target, method)(*arguments))
        except EpisodeRejected as refused:
            answer = ("refused", refused.field, refused.required, refused.got, refused.file)
        except MemoryError:
            answer = ("memory",)
        except BaseException as error:  # whatever it is, the caller reports it with its traceback
            answer = ("unforeseen", f"{type(error).__name__}: {error}", traceback.format_exc())
        try:
            _send(connection, answer)
        except (BrokenPipeError, ConnectionError):
            return
        except MemoryError:
            _send(connection, ("memory",))


def _limit(kind: int, amount: int | None) -> None:
    """Let the process use `amount`, None for no limit, as far as the machine's own limits go."""
    hard = resource.getrlimit(kind)[1]
    wanted = resource.RLIM_INFINITY if amount is None else amount
    if hard != resource.RLIM_INFINITY:
        wanted = hard if amount is None else min(amount, hard)
    resource.setrlimit(kind, (wanted, hard))


def _data_bytes() -> int:
    """What the process has taken so far of the memory that RLIMIT_DATA counts."""
    with Path("/proc/self/status").open() as status:
        line = next(line for line in status if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024
