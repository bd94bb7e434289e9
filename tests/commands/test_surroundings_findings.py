"""What a process lacks, a name, a home, an encoding, is filled in before libraries ask for it, and doctor says so."""

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ocrrl import surroundings
from ocrrl.commands import surroundings_findings
from ocrrl.commands.surroundings_findings import surroundings as look
from ocrrl.rendering_faults import rendering_named, what_to_change

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, in which the caches go."""
    monkeypatch.setattr(surroundings.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def no_name(monkeypatch):
    def unknown(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr(surroundings.pwd, "getpwuid", unknown)


def test_where_all_is_there_nothing_is_changed(tmp_path):
    variables = {"HOME": str(tmp_path), "USER": "me", "OMP_NUM_THREADS": "2"}
    surroundings.settle(variables)
    assert variables == {"HOME": str(tmp_path), "USER": "me", "OMP_NUM_THREADS": "2"}


def test_a_user_id_without_a_name_or_a_home_gets_both(temporary, no_name):
    variables: dict[str, str] = {}
    surroundings.settle(variables)
    caches = temporary / f"ocrrl-{os.getuid()}"
    assert variables["USER"] == variables["LOGNAME"] == f"uid{os.getuid()}"
    assert variables["HOME"] == str(caches) and caches.stat().st_mode & 0o777 == 0o700
    assert variables["HF_HOME"] == str(caches / "huggingface") and variables["MPLCONFIGDIR"] == str(
        caches / "matplotlib"
    )


def test_a_home_that_cannot_be_written_stays_the_home_and_what_was_downloaded_there_is_used(
    temporary, tmp_path, monkeypatch
):
    home = tmp_path / "home"
    (home / ".cache" / "huggingface").mkdir(parents=True)
    monkeypatch.setattr(surroundings, "is_writable", lambda folder: folder != home)
    variables = {"HOME": str(home), "TORCH_HOME": "/mine"}
    surroundings.settle(variables)
    assert variables["HOME"] == str(home) and "HF_HOME" not in variables and variables["TORCH_HOME"] == "/mine"
    assert variables["XDG_CACHE_HOME"].startswith(str(temporary))


@pytest.mark.parametrize("threads", ["abc", "0", "-1", ""])
def test_a_number_of_threads_that_is_none_is_said_and_1_is_taken(tmp_path, threads, capsys):
    variables = {"HOME": str(tmp_path), "USER": "me", "OMP_NUM_THREADS": threads}
    surroundings.settle(variables)
    assert variables["OMP_NUM_THREADS"] == "1"
    assert f"OMP_NUM_THREADS must be a whole number above 0, got {threads!r}" in capsys.readouterr().err


def finding(subject, now=NOW):
    (found,) = (found for found in look(now) if found.subject == subject)
    return found


def test_doctor_names_a_user_without_a_name(no_name, monkeypatch):
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, f"uid{os.getuid()}")
    assert "has no name" in finding("user").found and "export USER=" in finding("user").remedy
    monkeypatch.setenv("USER", "mine")
    assert not finding("user").remedy


def test_doctor_names_a_home_and_temporary_files_that_cannot_be_written(temporary, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/nobody")
    assert "/proc/nobody cannot be written" in finding("home").found and "export HOME=" in finding("home").remedy
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert finding("temporary files").remedy == "`unset TMPDIR`"


def test_doctor_names_a_clock_and_limits_that_are_off(monkeypatch):
    assert "set the clock" in finding("clock", datetime(1979, 1, 1, tzinfo=UTC)).remedy and not finding("clock").remedy
    monkeypatch.setattr(surroundings_findings.resource, "getrlimit", lambda which: (64, 64))
    assert finding("open files").required and finding("open files").remedy == "`ulimit -n 1024`"
    monkeypatch.setattr(surroundings_findings.locale, "getencoding", lambda: "ANSI_X3.4-1968")
    assert finding("locale").remedy == "`export LC_ALL=C.UTF-8`"


def test_doctor_names_a_folder_that_is_no_project_or_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "holds no dvc.yaml" in finding("project").found
    (tmp_path / "dvc.yaml").touch()
    assert not finding("project").remedy
    monkeypatch.setattr(surroundings_findings, "is_writable", lambda folder: False)
    assert "work in a copy" in finding("project").remedy


def test_doctor_names_a_database_of_another_prefect_and_one_that_is_locked(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert not finding("prefect").remedy
    other = sqlite3.connect(tmp_path / "prefect.db")
    other.execute("create table alembic_version (version_num text)")
    other.execute("insert into alembic_version values ('ffffeeee1111')")
    other.commit()
    assert "of another version of Prefect (revision ffffeeee1111)" in finding("prefect").found
    other.execute("begin exclusive")
    assert "database is locked" in finding("prefect").found and "export PREFECT_HOME=" in finding("prefect").remedy
    other.close()
    (tmp_path / "prefect.db").write_text("no database, as long as that of one is. " * 10)
    assert "file is not a database" in finding("prefect").found
    for taken in ("/proc/nowhere", str(tmp_path / "prefect.db"), str(tmp_path / "prefect.db" / "below")):
        monkeypatch.setenv("PREFECT_HOME", taken)
        assert "cannot be written" in finding("prefect").found


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"MUJOCO_GL": "glfw"}, "MUJOCO_GL must be egl or unset, got 'glfw': `unset MUJOCO_GL`"),
        ({"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "osmesa"}, "PYOPENGL_PLATFORM must be egl or unset, got 'osmesa'"),
        (
            {"PYOPENGL_PLATFORM": "egl", "MUJOCO_EGL_DEVICE_ID": "7"},
            "MUJOCO_EGL_DEVICE_ID must be the number of a device",
        ),
        ({}, "apt-get install libegl1"),
    ],
)
def test_rendering_that_fails_names_the_variable_or_the_package(variables, said):
    assert said in what_to_change(variables)


def test_whatever_a_driver_raises_is_one_error_with_its_cause():
    with (
        pytest.raises(
            RuntimeError, match=r"^images cannot be rendered: .*\(AttributeError: no glGetError here\)$"
        ) as error,
        rendering_named(),
    ):
        raise AttributeError("no glGetError\n   here")
    assert isinstance(error.value.__cause__, AttributeError)
    with pytest.raises(ModuleNotFoundError), rendering_named():
        import no_such_module_at_all  # noqa: F401  # pyright: ignore[reportMissingImports]


def test_a_variable_of_another_program_is_named_by_the_command_that_needs_images(tmp_path):
    root = Path(surroundings.__file__).parents[1]
    script = "import sys; from ocrrl import cli; cli._run = lambda options: __import__('ocrrl.sim'); sys.exit(cli.main(['slots']))"
    environment = os.environ | {"PYTHONPATH": str(root), "MUJOCO_GL": "nonsense"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "ocrrl slots: mujoco cannot be loaded: MUJOCO_GL must be egl or unset, got 'nonsense'" in done.stderr
