"""What went wrong is one line; a log has the traceback of everything that our code did not raise to be read."""

import errno
import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ocrrl import cli, error_line
from ocrrl.config_builder import ParamsError, build
from ocrrl.residual.residual_config import per_dimension
from ocrrl.rollouts.record import RecordConfig
from ocrrl.stages.processes import _answer_to


def raised_by(function, *arguments):
    with pytest.raises(BaseException) as raised:
        function(*arguments)
    return raised.value


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(error_line.SHOW, raising=False)
    return tmp_path


def logged(line: str) -> str:
    found = re.search(r"traceback in (\S+)", line)
    assert found, line
    return Path(found[1]).read_text()


def test_an_error_that_we_raise_is_said_as_it_is(project):
    error = raised_by(RecordConfig, 0)
    assert error_line.error_line("ocrrl record", error) == "ocrrl record: episodes must be at least 1, got 0"
    error = raised_by(build, RecordConfig, {"a\x1b[2J": 1}, "params:")
    assert isinstance(error, ParamsError) and "\x1b" not in error_line.error_line("ocrrl", error)
    assert not (project / ".work").exists()


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        ({"a": 1}.__getitem__, ("x",), "unforeseen KeyError: 'x'; traceback in"),
        (len, (3,), "unforeseen TypeError: object of type 'int' has no len(); traceback in"),
        (float, ("many",), "ValueError: could not convert string to float: 'many'; traceback in"),
        (np.zeros(3).reshape, (2, 2), "ValueError: cannot reshape array of size 3 into shape (2,2); traceback in"),
        (torch.zeros(2, 2).__matmul__, (torch.zeros(3, 3),), "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        (zipfile.ZipFile, (__file__,), "unforeseen BadZipFile: File is not a zip file; traceback in"),
    ],
)
def test_any_other_error_names_the_log_of_its_traceback(project, function, arguments, said):
    line = error_line.error_line("ocrrl ingest", raised_by(function, *arguments))
    assert line.startswith(f"ocrrl ingest: {said}") and "\n" not in line and "OCRRL_TRACEBACK=1 shows it" in line
    assert line.endswith("please report it") == ("unforeseen" in line)
    text = logged(line)
    assert "Traceback (most recent call last)" in text and line.split(": ")[1].split()[-1] in text
    assert (project / ".work" / "logs").is_dir()


def test_a_value_error_that_a_library_raises_for_our_code_is_no_message_of_ours(project):
    error = raised_by(per_dimension, ("far", "near"))
    assert isinstance(error, ValueError) and not error_line.is_ours(error)
    assert "traceback in" in error_line.error_line("ocrrl train_residual", error)


def test_an_error_from_another_process_keeps_its_traceback(project):
    def sent(function, *arguments):
        _, error = pickle.loads(pickle.dumps(_answer_to(function, arguments)))
        return error

    error = sent(int, "three")
    assert isinstance(error, ValueError) and not error_line.is_ours(error)
    assert "_answer_to" in logged(error_line.error_line("ocrrl retrain", error))
    with pytest.raises(
        ValueError, match="at least 1"
    ) as raised:  # as `BackgroundProcess.result` raises what it was sent
        exec(compile("raise error", cli.__file__, "exec"), {"error": sent(RecordConfig, 0)})
    assert error_line.error_line("ocrrl", raised.value) == "ocrrl: episodes must be at least 1, got 0"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "/some/file must be open to user id"),
        (errno.EROFS, "/some/file must be on a file system that can be written, it is read-only"),
        (errno.EISDIR, "/some/file must be a file, it is a folder"),
        (errno.ENOTDIR, "/some/file must be in a folder, a part of its path is a file"),
        (errno.ENOENT, "/some/file must be there, it is not"),
        (errno.EMFILE, "raise the limit with `ulimit -n 4096`"),
        (errno.EIO, "its disk or network drive may be failing"),
        (errno.ENAMETOOLONG, "/some/file: File name too long"),
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "no space left on the disk"),
    ],
)
def test_an_error_about_a_file_names_the_file_and_the_next_step(project, number, said):
    line = error_line.error_line("ocrrl ingest", OSError(number, os.strerror(number), "/some/file"))
    assert said in line and "unforeseen" not in line


@pytest.mark.parametrize(
    ("error", "needed"),
    [
        (MemoryError(), "memory ran out ("),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory ran out ("),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 480000000000 bytes."),
         "memory ran out, 4.8e+02 GB at once ("),
        (MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,)"), "memory ran out, 7.5 GB at once"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 8 GiB"),
         "the GPU's memory is too small, 20 GB at once: take a smaller batch_size"),
    ],
)  # fmt: skip
def test_memory_that_ran_out_says_how_much_was_needed_and_what_to_do(project, error, needed):
    line = error_line.error_line("ocrrl finetune", error)
    assert f"ocrrl finetune: {needed}" in line and "batch_size" in line and "traceback in" in line


def test_torch_s_and_numpy_s_own_words_for_it_are_known(project):
    for function, size in ((torch.zeros, 10**14), (np.zeros, 10**14)):
        assert "GB at once" in error_line.out_of_memory(raised_by(function, size))


def test_a_log_that_cannot_be_written_here_is_among_the_temporary_files_or_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # no project
    line = error_line.error_line("ocrrl", raised_by({}.__getitem__, "x"))
    assert "KeyError" in logged(line) and not list(tmp_path.iterdir())
    (tmp_path / "dvc.yaml").write_text("")
    (tmp_path / ".work").write_text("a file where the folder should be")
    assert "KeyError" in logged(error_line.error_line("ocrrl", raised_by({}.__getitem__, "x")))
    monkeypatch.setattr(error_line.tempfile, "gettempdir", lambda: "/proc/nowhere")
    line = error_line.error_line("ocrrl", raised_by({}.__getitem__, "x"))
    assert "no log could be written, the traceback is above" in line
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_command_ends_with_the_line_and_exit_code_1(project, monkeypatch, capsys):
    def fail(options):
        return {}["x"]

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["slots"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ocrrl slots: unforeseen KeyError: 'x'; traceback in .work/logs/") and said.count("\n") == 1
    assert "in fail" in logged(said)
    monkeypatch.setenv(error_line.SHOW, "1")
    assert cli.main(["slots"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def run(*command, cwd, **variables):
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])} | variables
    environment = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("where", ["with spaces", "Würfel⊕"])
def test_a_folder_that_is_no_project_says_so_and_stays_as_it_is(tmp_path, where):
    folder = tmp_path / where
    folder.mkdir()
    done = run(sys.executable, "-m", "ocrrl.cli", "ingest", "cube_lift", cwd=folder, LC_ALL="C", PYTHONIOENCODING=None)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"run in the project's folder ({folder} is none)" in done.stderr and not list(folder.iterdir())
    done = run(
        *(sys.executable, "-m", "ocrrl.cli", "ingest", "cube_lift"),
        cwd=folder,
        PYTHONIOENCODING="ascii",
        LC_ALL="POSIX",
    )
    assert done.returncode == 1 and "is none)" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("redirection", "code"), [("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 1)]
)
def test_streams_that_are_closed_or_full_end_no_command_in_a_traceback(tmp_path, redirection, code):
    done = run("bash", "-c", f"'{sys.executable}' -m ocrrl.cli slots {redirection}", cwd=tmp_path)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert ("no space left on the disk" in done.stderr) == bool(code)


def test_a_working_folder_that_was_removed_is_said_to_be(tmp_path):
    (tmp_path / "gone").mkdir()
    script = f"cd '{tmp_path}/gone' && rmdir '{tmp_path}/gone' && '{sys.executable}' -m ocrrl.cli slots"
    done = run("bash", "-c", script, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "ocrrl: the working folder must be there, it was removed; change to the project's folder\n"
