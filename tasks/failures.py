"""The message of a failed stage, and whether a retry can help."""

from typing import Any

from tasks.child_process import Outcome
from tasks.graph import Stage

ADVICE = {
    "No space left on device": "The disk is full. Free some space (`make gc` never drops an episode, docs/dvc.md) and "
    "run again: finished stages are kept.",
    "no remote specified": "DVC has no remote. `dvc remote add --default NAME URL` adds one (docs/scale_out.md).",
    "config file error: no remote": "DVC has no remote. `dvc remote add --default NAME URL` adds one (docs/scale_out.md).",
    "Unable to acquire lock": "Another DVC command holds the lock. Wait for it, then run again.",
    "CUDA": "This machine may lack the GPU that `device: cuda` asks for; `ocrrl doctor` says whether.",
    "Killed": "The machine may have run out of memory.",
}

BUSY = ("it is being blocked by", "wait until that has ended, or end it, then run this again")
"""What DVC and `ocrrl` say of files that another process works on."""


class StageFailed(RuntimeError):
    """A stage ended with an error; the message holds the last lines of its log and the next step."""


def explain(stage: Stage, outcome: Outcome) -> str:
    """One text: what failed, how it ended, its last lines, where the whole log is, what to do."""
    tail = outcome.tail()
    advice = next(
        (text for sign, text in ADVICE.items() if sign in tail), "Mend it and run again: finished stages are kept."
    )
    return f"{stage.title} {_ending(stage, outcome)}. Its last lines:\n{tail}\n\nWhole log: {outcome.log}\n{advice}"


def is_busy(outcome: Outcome) -> bool:
    """Whether DVC, or the stage's command, refused because another process reads or writes the same files."""
    tail = outcome.tail()
    return bool(outcome.code) and any(sign in tail for sign in BUSY)


def worth_another_try(state: Any) -> bool:
    """Whether the failure in a task run's final state was no error that would come again: a kill, a lost connection.

    `ocrrl` and DVC end with 1 or 2 where the input or the code is at fault, and with 128 or more where a signal ended them.
    """
    message = str(state.message or "")
    return "ended by signal" in message and "was stopped" not in message


def _ending(stage: Stage, outcome: Outcome) -> str:
    if outcome.timed_out:
        return f"was stopped: it ran longer than the {stage.timeout:g} s of `meta: timeout` in dvc.yaml"
    if outcome.stopped:
        return "was stopped with its flow run"
    command = signal_of_command(outcome)
    if command:
        return f"was ended by signal {command}"
    return f"failed with exit code {outcome.code}"


def signal_of_command(outcome: Outcome) -> int:
    """The signal that ended DVC or the stage's own command, else 0."""
    if outcome.code > 128 and outcome.code != 255:  # DVC ends with 255 on an error of its own
        return outcome.code - 128
    _, found, code = outcome.tail().rpartition("exited with ")
    digits = code.split()[0] if found and code.split() else ""
    number = int(digits) if digits.lstrip("-").isdigit() else 0
    return -number if number < 0 else max(number - 128, 0)
