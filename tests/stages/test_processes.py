import os
import signal
import subprocess
import sys
import time

import pytest

from ocrrl.stages.processes import BackgroundProcess, ahead, side_by_side


def test_calls_side_by_side_answer_in_their_order():
    assert side_by_side(divmod, [(7, 2), (9, 4), (5, 5)]) == [(3, 1), (2, 1), (1, 0)]


def test_calls_ahead_answer_in_their_order_and_are_taken_when_they_start():
    taken = []

    def calls():
        for number in range(6):
            taken.append(number)
            yield number, 4

    answers = ahead(divmod, calls(), workers=2)
    assert next(answers) == (0, 0) and taken == [0, 1]
    assert next(answers) == (0, 1) and taken == [0, 1, 2]
    assert list(answers) == [(0, 2), (0, 3), (1, 0), (1, 1)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_ahead_is_raised_in_its_turn(workers):
    answers = ahead(int, iter([("1",), ("two",)]), workers)
    assert next(answers) == 1
    with pytest.raises(ValueError, match="'two'"):
        next(answers)


def test_processes_ahead_end_with_the_iteration():
    answers = ahead(os.getpid, ((),) * 3, workers=2)
    first = next(answers)
    assert alive(first)
    answers.close()
    assert not alive(first)


def test_a_function_beside_answers_one_call_after_the_other():
    with BackgroundProcess(os.getpid) as beside:
        beside.start()
        process = beside.result()
        assert process != os.getpid()
        beside.start()
        assert beside.result() == process
    assert not alive(process), "it ends with the block"


def test_the_caller_goes_on_until_the_answer_is_there():
    with BackgroundProcess(time.sleep) as beside:
        beside.start(1.0)
        assert not beside.ready()
        beside.result()
        assert not beside.ready(), "each answer is given once"


def test_an_error_beside_is_raised_where_the_result_is_asked_for():
    with BackgroundProcess(int) as beside:
        beside.start("three")
        with pytest.raises(ValueError, match="'three'"):
            beside.result()
        beside.start("3")
        assert beside.result() == 3


def test_a_process_beside_that_is_gone_is_said_to_be():
    with BackgroundProcess(os._exit) as beside:
        beside.start(7)
        with pytest.raises(RuntimeError, match="exit code 7"):
            beside.result()


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_a_caller_that_is_killed(by):
    script = (
        "import os, time; from ocrrl.stages.processes import BackgroundProcess\n"
        "if __name__ == '__main__':\n"
        "    beside = BackgroundProcess(os.getpid); beside.start(); print(beside.result(), flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        process = int(caller.stdout.readline())
        assert alive(process)
        caller.send_signal(by)
    deadline = time.monotonic() + 20
    while alive(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(process)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
