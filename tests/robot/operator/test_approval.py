"""What an approval allows, and each way of being refused."""

import base64
import json
import stat
import threading
import traceback
from dataclasses import dataclass, replace

import pytest

from ocrrl.interface.cells import CELLS, cell_named, cell_to_approve, session_cell
from ocrrl.robot.open_cell import open_cell
from ocrrl.robot.operator.approval import NotApproved, begin_episode, check, issue
from ocrrl.robot.operator.approval_ledger import episodes_begun
from ocrrl.robot.operator.operator_prompt import ask_operator
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT

SESSION = ("fr3", "monday", "cube_lift")


@dataclass
class Clock:
    """A clock that stands until it is set."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def approve(tmp_path, clock):
    def token(cell="fr3", session="monday", task="cube_lift", episodes=3, operator="Ada", minutes=15.0):
        return issue(cell, session, task, episodes, operator, clock, minutes, tmp_path)

    return token


def test_an_approval_allows_what_was_approved_and_less(tmp_path, clock, approve):
    token = approve()
    for episodes in (1, 3):
        approval = check(token, *SESSION, episodes, clock, tmp_path)
        assert (approval.cell, approval.session, approval.tabletop_task) == SESSION
        assert (approval.episodes, approval.operator, approval.expires) == (3, "Ada", clock.now + 15 * 60)
    clock.now += 15 * 60 - 1
    check(token, *SESSION, 3, clock, tmp_path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cell": "fr3_left"}, "for cell fr3_left, got one for fr3"),
        ({"session": "tuesday"}, "for session tuesday, got one for monday"),
        ({"tabletop_task": "stack_cube"}, "for tabletop_task stack_cube, got one for cube_lift"),
        ({"episodes": 4}, "must cover 4 episodes, got 3 left of the 3 that Ada approved"),
    ],
)
def test_another_cell_session_task_or_more_episodes_are_refused(tmp_path, clock, approve, asked, message):
    wanted = dict(zip(("cell", "session", "tabletop_task"), SESSION, strict=True)) | {"episodes": 3} | asked
    with pytest.raises(NotApproved, match=message) as refused:
        check(approve(), **wanted, clock=clock, folder=tmp_path)
    assert f"`ocrrl approve --cell {wanted['cell']} --session {wanted['session']}" in str(refused.value)


def test_an_expired_approval_says_when_and_what_to_do(tmp_path, clock, approve):
    token = approve()
    clock.now += 15 * 60
    with pytest.raises(NotApproved, match=r"it did at 2026-09-21 14:28:20 UTC; approve with `ocrrl approve"):
        check(token, *SESSION, 3, clock, tmp_path)


def test_a_clock_set_back_is_noticed(tmp_path, clock, approve):
    token = approve()
    clock.now -= 3600
    with pytest.raises(NotApproved, match="set this machine's clock"):
        check(token, *SESSION, 3, clock, tmp_path)


def test_what_has_expired_stays_expired_when_the_clock_is_set_back(tmp_path, clock, approve):
    token = approve()
    approval = check(token, *SESSION, 1, clock, tmp_path)
    clock.now = approval.expires + 5
    for attempt in (
        lambda: check(token, *SESSION, 1, clock, tmp_path),
        lambda: begin_episode(approval, clock, tmp_path),
    ):
        with pytest.raises(NotApproved, match="must not have expired"):
            attempt()
        clock.now = approval.expires - 10  # as little as a clock that keeps time by the network is set back
        with pytest.raises(NotApproved, match="must not have expired"):
            attempt()
        clock.now = approval.issued + 1
        with pytest.raises(NotApproved, match=r"clock must not go back, got a time .* s before the latest"):
            attempt()
        clock.now = approval.expires + 5
    clock.now = approval.issued + 1
    with pytest.raises(NotApproved, match="clock must not go back"):
        approve()  # a new one by a clock that is wrong would last for longer than was approved
    clock.now = float("nan")
    with pytest.raises(NotApproved, match="clock must give a time"):
        check(token, *SESSION, 1, clock, tmp_path)


NO_LEDGERS = [
    *(
        "",
        "[]",
        "{}",
        "null",
        "3",
        '"begun"',
        "{",
        "[[" * 100_000,
        '{"begun": null}',
        '{"begun": []}',
        '{"begun": "0"}',
    ),
    *('{"begun": NaN}', '{"begun": -Infinity}', '{"begun": -1}', '{"begun": 0.0}', '{"begun": 1e0}', '{"begun": true}'),
    *('{"begun": 3, "begun": 0}', "\x00\x00", '{"begun": {"$": 0}}', '{"Begun": 0}', '[{"begun": 0}]'),
]


@pytest.mark.parametrize("text", NO_LEDGERS)
def test_a_ledger_that_is_none_is_never_read_as_nothing_begun(tmp_path, clock, approve, text):
    token = approve()
    approval = check(token, *SESSION, 3, clock, tmp_path)
    ledger = tmp_path / "approvals" / f"{approval.nonce}.json"
    ledger.write_text(text)
    for attempt in (
        lambda: check(token, *SESSION, 1, clock, tmp_path),
        lambda: begin_episode(approval, clock, tmp_path),
    ):
        with pytest.raises(NotApproved, match=f"{approval.nonce}.json must .*`ocrrl approve"):
            attempt()
    assert ledger.read_text() == text


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"latest": NaN}', '{"latest": "0"}', '{"latest": -1}', '{"latest": 1e999}']
)
def test_a_record_of_the_time_that_is_none_is_named(tmp_path, clock, approve, text):
    token = approve()
    (tmp_path / "approvals" / ".clock.json").write_text(text)
    with pytest.raises(NotApproved, match=r"approvals/\.clock\.json must "):
        check(token, *SESSION, 1, clock, tmp_path)


def test_a_ledger_that_is_a_folder_or_not_utf_8_is_named(tmp_path, clock, approve):
    token = approve()
    approval = check(token, *SESSION, 3, clock, tmp_path)
    ledger = tmp_path / "approvals" / f"{approval.nonce}.json"
    ledger.write_bytes(b"\xff\xfe{}")
    with pytest.raises(NotApproved, match=r"\.json must be JSON, got .*decode"):
        check(token, *SESSION, 1, clock, tmp_path)
    ledger.unlink()
    ledger.mkdir()
    with pytest.raises(NotApproved, match=r"\.json must be a file, got another kind of entry"):
        check(token, *SESSION, 1, clock, tmp_path)


@pytest.mark.parametrize("token", [None, ""])
def test_without_an_approval_the_next_step_is_named(tmp_path, clock, token):
    with pytest.raises(NotApproved, match=r"got none; approve with `ocrrl approve --cell fr3 .*OCRRL_APPROVAL"):
        check(token, *SESSION, 3, clock, tmp_path)
    assert not list(tmp_path.iterdir()), "a refusal writes nothing"


@pytest.mark.parametrize("token", ["word", "a.b.c", "é.é", "a!.b", "."])
def test_what_is_no_token_is_refused(tmp_path, clock, approve, token):
    approve()
    with pytest.raises(NotApproved, match=r"must be a token of `ocrrl approve`, got (something malformed|one with)"):
        check(token, *SESSION, 3, clock, tmp_path)


def test_a_changed_token_or_one_of_another_place_has_a_wrong_signature(tmp_path, clock, approve):
    payload, signature = approve().split(".")
    facts = json.loads(base64.urlsafe_b64decode(payload + "=="))
    more = base64.urlsafe_b64encode(json.dumps(facts | {"episodes": 300}).encode()).decode().rstrip("=")
    elsewhere = issue(*SESSION, 3, "Ada", clock, folder=tmp_path / "elsewhere")
    for token in (f"{more}.{signature}", f"{payload}.{signature[::-1]}", elsewhere):
        with pytest.raises(NotApproved, match="wrong signature"):
            check(token, *SESSION, 3, clock, tmp_path)


def test_the_key_is_its_owner_s_alone_and_stays(tmp_path, clock, approve):
    first = approve()
    key = tmp_path / "approval.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    content = key.read_bytes()
    approve()
    assert key.read_bytes() == content
    key.chmod(0o644)
    with pytest.raises(RuntimeError, match=r"must be readable by its owner only, got others too; `chmod 600"):
        check(first, *SESSION, 3, clock, tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"minutes": 481.0}, r"minutes must be in \(0, 480\], got 481"),
        ({"minutes": 0.0}, r"minutes must be in \(0, 480\], got 0"),
        ({"minutes": float("nan")}, r"minutes must be in \(0, 480\], got nan"),
        ({"session": "../else"}, "session must be a name of 1 to 80"),
        ({"operator": " "}, "operator must be a name"),
        ({"operator": "Ada\nBob"}, "operator must be a name"),
    ],
)
def test_what_no_operator_can_approve_is_refused_by_name(tmp_path, approve, changed, message):
    with pytest.raises(ValueError, match=message):
        approve(**changed)
    assert not list(tmp_path.iterdir())


def test_a_restart_and_a_copied_token_begin_no_more_than_was_approved(tmp_path, clock, approve):
    token = approve()
    for _ in range(2):
        begin_episode(check(token, *SESSION, 1, clock, tmp_path), clock, tmp_path)
    again = check(token, *SESSION, 1, clock, tmp_path)
    with pytest.raises(NotApproved, match="must cover 2 episodes, got 1 left of the 3"):
        check(token, *SESSION, 2, clock, tmp_path)
    begin_episode(again, clock, tmp_path)
    with pytest.raises(NotApproved, match="the 3 episodes that Ada approved must suffice"):
        begin_episode(again, clock, tmp_path)
    assert episodes_begun(tmp_path, again.nonce) == 3
    ledger = json.loads((tmp_path / "approvals" / f"{again.nonce}.json").read_text())
    assert (ledger["operator"], ledger["episodes"], ledger["begun"]) == ("Ada", 3, 3)


def test_episodes_that_begin_at_the_same_time_are_all_counted(tmp_path, clock, approve):
    approval = check(approve(episodes=5), *SESSION, 5, clock, tmp_path)
    begun, refused = [], []

    def begin():
        try:
            begun.append(begin_episode(approval, clock, tmp_path))
        except NotApproved as error:
            refused.append(error)

    threads = [threading.Thread(target=begin) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(begun), len(refused)) == (5, 7)
    assert episodes_begun(tmp_path, approval.nonce) == 5


def test_an_approval_whose_count_is_gone_is_worth_nothing(tmp_path, clock, approve):
    token = approve()
    approval = check(token, *SESSION, 3, clock, tmp_path)
    (tmp_path / "approvals" / f"{approval.nonce}.json").unlink()
    for attempt in (
        lambda: check(token, *SESSION, 3, clock, tmp_path),
        lambda: begin_episode(approval, clock, tmp_path),
    ):
        with pytest.raises(NotApproved, match="count of episodes must be in"):
            attempt()


def test_an_approval_that_expires_on_the_way_begins_no_further_episode(tmp_path, clock, approve):
    approval = check(approve(), *SESSION, 3, clock, tmp_path)
    begin_episode(approval, clock, tmp_path)
    clock.now = approval.expires
    with pytest.raises(NotApproved, match="must not have expired"):
        begin_episode(approval, clock, tmp_path)
    assert episodes_begun(tmp_path, approval.nonce) == 1


def test_a_token_is_in_no_file_message_or_representation(tmp_path, clock, approve):
    token = approve()
    approval = check(token, *SESSION, 3, clock, tmp_path)
    signature = token.split(".")[1]
    said = [repr(approval), str(approval)]
    broken = token[:-3] + "!!!"
    for attempt in (token, broken):
        try:
            check(attempt, "fr3", "tuesday", "cube_lift", 3, clock, tmp_path)
        except NotApproved as error:
            assert error.__context__ is None
            said.append("".join(traceback.format_exception(error)))
    said += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(said) >= 6
    assert not any(signature[:20] in text or token[:20] in text for text in said)


@dataclass
class Scene:
    task = CUBE_LIFT


def test_the_door_to_a_cell_asks_for_an_approval_of_that_cell(tmp_path, clock, approve):
    other = check(approve("rehearsal"), "rehearsal", "monday", "cube_lift", 1, clock, tmp_path)
    for name, approval in (("rehearsal", None), ("fr3", None), ("fr3", other)):
        with pytest.raises(NotApproved, match=f"opening cell {name} needs an approval for {name} and cube_lift"):
            open_cell(name, Scene(), approval, clock, tmp_path)
    with pytest.raises(NotApproved):
        open_cell("rehearsal", Scene(), replace(other, tabletop_task="stack_cube"), clock, tmp_path)


def test_hardware_is_not_opened_unchecked_or_with_nobody_beside_it(tmp_path, clock):
    token = issue("fr3", "monday", "cube_lift", 1, "Ada", clock, folder=tmp_path)
    approval = check(token, "fr3", "monday", "cube_lift", 1, clock, tmp_path)
    with pytest.raises(ValueError, match="cell fr3 must be checked before it is opened"):
        open_cell("fr3", Scene(), approval, clock, tmp_path)
    with pytest.raises(ValueError, match="cell fr3 must have an operator, got none"):
        open_cell("fr3", Scene(), approval, clock, tmp_path, checked=object())


def test_unknown_cells_and_those_that_need_no_approval_are_named():
    with pytest.raises(ValueError, match="cell must be one of twin, rehearsal, wire_twin, fr3, got 'moon'"):
        cell_named("moon")
    with pytest.raises(ValueError, match=r"needs an approval \(rehearsal, fr3\), got twin: no robot moves there"):
        cell_to_approve("twin")
    with pytest.raises(ValueError, match=r"\(rehearsal, wire_twin, fr3\), got twin, where stages run"):
        session_cell("twin")
    assert CELLS["rehearsal"].stands_for == CELLS["twin"].stands_for == "a twin; no robot moved"


def answers(*lines):
    remaining = list(lines)
    return lambda question: remaining.pop(0) if remaining else ""


def test_an_operator_who_answers_everything_approves():
    assert ask_operator(*SESSION, 3, ask=answers("y", "Ada", "", "fr3")) == ("Ada", 3)
    assert ask_operator(*SESSION, 3, "Bob", answers("YES", "", "2", "fr3")) == ("Bob", 2)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "must be clear of people"),
        (("n", "Ada", "3", "fr3"), "must be clear of people"),
        (("y", "", "3", "fr3"), "must give a name"),
        (("y", "Ada", "many", "fr3"), "at least 1, got 'many'"),
        (("y", "Ada", "0", "fr3"), "at least 1, got '0'"),
        (("y", "Ada", "3", "rehearsal"), "must be typed, got 'rehearsal'"),
        (("y", "Ada", "3"), "must be typed, got ''"),
    ],
)
def test_any_other_answer_approves_nothing(lines, message):
    with pytest.raises(NotApproved, match=message):
        ask_operator(*SESSION, 3, ask=answers(*lines))
