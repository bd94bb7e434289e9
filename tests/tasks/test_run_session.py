"""A flow hands the operator's token to a session so that it stands in nobody's environment, and is gone afterwards."""

import stat

import pytest
from pydantic import SecretStr

from tasks.child_process import run_child
from tasks.run_session import Session, handed_over, new_session_name, session_command

TOKEN = "payload-of-the-token.its-signature"
LOOK = 'cat "$OCRRL_APPROVAL_FILE"; tr "\\0" "\\n" < /proc/self/environ; tr "\\0" "\\n" < /proc/$PPID/environ'


def test_the_token_reaches_the_session_by_a_file_and_is_in_no_environment(tmp_path):
    lines = []
    with handed_over(SecretStr(TOKEN), tmp_path) as file:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        outcome = run_child(
            ["sh", "-c", LOOK], tmp_path / "log", tmp_path, {"OCRRL_APPROVAL_FILE": str(file)}, lines.append
        )
    assert outcome.code == 0 and lines[0] == TOKEN and not file.exists()
    environments = "\n".join(lines[1:])
    assert environments.count("OCRRL_APPROVAL_FILE=") == 2, "of the session and of its supervisor"
    assert TOKEN not in environments and "OCRRL_APPROVAL=" not in environments


def test_the_file_is_gone_after_an_error_too(tmp_path):
    with pytest.raises(RuntimeError), handed_over(SecretStr(TOKEN), tmp_path) as file:
        raise RuntimeError
    assert not file.exists()


def test_a_session_s_own_name_is_a_name():
    from ocrrl.interface.names import is_name

    assert is_name(new_session_name("rollout"))


@pytest.mark.parametrize(
    ("until", "begun", "ending"),
    [
        (None, True, ["--episodes", "21"]),
        ("decided", False, ["--until", "decided", "--episodes", "20"]),
        ("decided", True, ["--until", "decided"]),
    ],
)
def test_a_session_until_decided_plans_whole_pairs_and_one_that_has_begun_keeps_to_its_plan(until, begun, ending):
    session = Session("evaluate", "rehearsal", "cube_lift", 21, "monday", until)
    command = ["ocrrl", "evaluate", "cube_lift", "--cell", "rehearsal", "--session", "monday"]
    assert session_command(session, begun) == command + ending
