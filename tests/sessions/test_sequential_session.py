"""An evaluation until decided: blind, by a plan that nobody changes afterwards, ended by itself."""

import json
import re
from argparse import ArgumentParser
from io import StringIO

import pytest

from ocrrl.commands import stages
from ocrrl.episodes.episode_store import attributes_of, episode_paths
from ocrrl.files import json_bytes
from ocrrl.rollouts.sequential_test import StoppingRule, sequential_verdict
from ocrrl.sessions.blind_order import BlindOrder
from ocrrl.sessions.evaluation_plan import read_plan
from ocrrl.viewers.session_episodes import session_episodes
from tests.sessions.quick_sessions import NAME, quick, session_folder, session_json, verdict

__all__ = ["quick"]
REVEALS = re.compile(r"\b(base|residual|corrected)\b", re.IGNORECASE)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stop_at(*resets):
    """Interrupts the runs of a session at these of their resets, each counted from the run's first."""
    remaining, since = list(resets), [0]

    def before(cell, seed):
        since[0] += 1
        if remaining and since[0] == remaining[0]:
            since[0] = 0
            remaining.pop(0)
            raise KeyboardInterrupt

    return before


def test_it_ends_by_itself_and_unlocks_itself_with_the_verdict(quick):
    code, out, err = quick.evaluate()
    assert code == 0, err
    pairs = StoppingRule().fewest_pairs()
    assert (
        f"rehearsal: base + residual against base. Sequential test: better after {pairs} of {pairs} pairs, +100 ["
        in out
    )
    assert f"rehearsal: base 0.00, base + residual 1.00 of {pairs} episodes" in out
    content, plan = session_json(), read_plan(session_folder(), None)
    assert len(content["attempts"]) == 2 * pairs and len(plan.states) == StoppingRule().most_pairs
    assert content["unlocked"]["early"] is False
    assert verdict()["decision"] == "better" and verdict()["plan"] == plan.sha256
    assert (verdict()["pairs"], verdict()["only_second"], verdict()["decided_after"]) == (pairs, pairs, pairs)
    before = contents(session_folder())
    code, out, err = quick.evaluate(approve=0)
    assert code == 0 and "Sequential test: better after" in out, (
        "an ended session asks for no approval and says its verdict again"
    )
    assert contents(session_folder()) == before


def test_the_plan_s_hash_stands_in_session_runs_episodes_and_evaluation(quick):
    quick.evaluate()
    plan, content = read_plan(session_folder(), None), session_json()
    assert content["plan"] == plan.sha256 and {run["plan"] for run in content["runs"]} == {plan.sha256}
    held = {attributes_of(path).plan for path in episode_paths(session_folder())}
    assert held == {plan.sha256}
    assert plan.states == tuple(dict.fromkeys(plan.states)) and plan.models == content["models"]


def test_until_it_is_unlocked_nothing_printed_or_named_tells_the_variant(quick):
    quick.before = stop_at(12)
    code, out, err = quick.evaluate()
    assert code == 130
    assert "episode 1 of pair 1: " in out and "episode 1 of pair 6: " in out
    assert not REVEALS.search(out + err) and "steps" not in out, out
    names = sorted(contents(session_folder()))
    assert len(episode_paths(session_folder())) == 11 and not REVEALS.search("\n".join(names)), names
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"first", "second"}
    content = session_json()
    assert {attempt["variant"] for attempt in content["attempts"]} == {"first", "second"}
    assert not (session_folder() / "evaluation.json").exists() and "unlocked" not in content
    plan = (session_folder() / "plan.json").read_text()
    order = json.loads((session_folder() / "sealed_order.json").read_text())
    assert order["seed"] not in plan and order["salt"] not in plan
    code, out, err = quick.run("view", session_folder(), "--save", "x.rrd")
    assert code == 1 and f"session {NAME} is blind until it is unlocked" in err
    for command in (
        ("view", episode_paths(session_folder())[0], "--save", "x.html"),
        ("export", session_folder(), "--format", "mcap", "--out", "x"),
        ("export", episode_paths(session_folder())[0], "--format", "mcap", "--out", "x.mcap"),
    ):
        code, _, err = quick.run(*command)
        assert code == 1 and f"session {NAME} is blind until it is unlocked" in err


def test_unlocking_says_who_acted_moves_no_file_and_can_be_computed_again(quick):
    quick.evaluate()
    content, plan = session_json(), read_plan(session_folder(), None)
    order = BlindOrder(content["unlocked"]["order_seed"], content["unlocked"]["order_salt"])
    assert order.commitment == plan.order_sha256
    for attempt in content["attempts"]:
        pair, place = plan.states.index(attempt["seed"]), ("first", "second").index(attempt["label"])
        assert attempt["variant"] == order.variants(pair, plan.variants)[place]
        assert attempt["episode"].split("/")[0] == attempt["label"]
        assert attempt["success"] == (attempt["variant"] == "residual")
    shown = [(episode.variant, episode.name) for episode in session_episodes(session_folder())]
    assert shown == [(attempt["variant"], attempt["episode"]) for attempt in content["attempts"]]
    orders = {order.variants(pair, plan.variants) for pair in range(20)}
    assert len(orders) == 2, "each variant goes first in some pairs"


def test_interrupted_and_gone_on_with_it_ends_as_in_one_piece(quick):
    quick.residual = 0.7
    assert quick.evaluate("--episodes", 60)[0] == 0
    whole, evaluation = session_json(), contents(session_folder())["evaluation.json"]
    assert 2 * StoppingRule().fewest_pairs() < len(whole["attempts"])
    quick.new_folder("again")
    quick.before = stop_at(1, 2, 8, 3)
    runs = [quick.evaluate("--episodes", 60) for _ in range(5)]
    assert [code for code, _, _ in runs] == [130, 130, 130, 130, 0], runs
    assert contents(session_folder())["evaluation.json"] == evaluation
    outcomes = [
        [(a["variant"], a["seed"], a["success"]) for a in content["attempts"] if a["episode"]]
        for content in (whole, session_json())
    ]
    assert outcomes[0] == outcomes[1]


def test_it_stops_for_futility_and_after_the_most_pairs(quick):
    quick.residual = 0.0
    code, out, err = quick.evaluate()
    assert code == 0 and "Sequential test: no difference that matters after " in out, err
    assert verdict()["decision"] == "no_difference" and verdict()["pairs"] < StoppingRule().most_pairs
    quick.new_folder("again")
    code, out, err = quick.evaluate("--episodes", 20)
    assert code == 0 and "Sequential test: not decided after 10 pairs" in out, err
    assert verdict()["decision"] == "most_pairs_reached" and session_json()["unlocked"]["early"] is False


def test_in_the_twin_it_runs_with_nobody(quick):
    code, out, err = quick.evaluate(cell="twin")
    assert code == 0, err
    assert verdict("twin")["decision"] == "better" and "Next: dvc add data/sessions/twin/cube_lift/monday" in out
    (run,) = session_json("twin")["runs"]
    assert (run["operator"], run["approval"]) == ("nobody", "not needed")


def test_unlocked_early_it_ends_undecided_and_says_so_for_good(quick):
    quick.before = stop_at(6)
    quick.evaluate()
    blind = contents(session_folder())
    code, _, err = quick.run("unlock", session_folder())
    assert code == 1 and "session monday must be decided before it is unlocked, got 2 of at most 100 pairs" in err
    assert contents(session_folder()) == blind
    code, out, err = quick.run("unlock", session_folder(), "--early")
    assert (
        code == 0
        and "not decided yet after 2 pairs" in out
        and "; unlocked early; plan" in out
        and "Next: dvc add" in out
    ), err
    assert session_json()["unlocked"]["early"] is True and verdict()["unlocked_early"] is True
    assert (verdict()["decision"], verdict()["pairs"]) == ("not_yet", 2)
    after = contents(session_folder())
    code, _, err = quick.evaluate()
    assert code == 1 and "session monday must still be blind to go on, it was unlocked early at " in err
    assert contents(session_folder()) == after


def test_a_plan_that_was_changed_is_refused_and_nothing_runs(quick):
    quick.before = stop_at(6)
    quick.evaluate()
    path, begun = session_folder() / "plan.json", len(quick.starts)
    plan = json.loads(path.read_text())
    hash_of = session_json()["plan"]
    for changed in (
        {"states": plan["states"][::-1]},
        {"stopping_rule": plan["stopping_rule"] | {"level": 0.2}},
        {"variants": ["base"]},
        {"order_sha256": "0" * 64},
    ):
        path.write_bytes(json_bytes(plan | changed))
        for command in (quick.evaluate, lambda: quick.run("unlock", session_folder(), "--early")):
            code, _, err = command()
            assert code == 1 and f"{path}: SHA-256 must be {hash_of}, which session.json and the episodes hold" in err
    path.unlink()
    code, _, err = quick.evaluate()
    assert code == 1 and "plan.json must be a file, got nothing there; restore the file" in err
    assert len(quick.starts) == begun and "unlocked" not in session_json()
    path.write_text(json.dumps(plan))
    assert quick.evaluate()[0] == 0, "the same plan, written otherwise"


def test_a_plan_changed_with_its_hash_in_session_json_is_refused_by_the_episodes(quick):
    quick.before = stop_at(6)
    quick.evaluate()
    path, session = session_folder() / "plan.json", session_folder() / "session.json"
    plan = json.loads(path.read_text())
    path.write_bytes(json_bytes(plan | {"stopping_rule": plan["stopping_rule"] | {"level": 0.2}}))
    other = read_plan(session_folder(), None).sha256
    session.write_text(json.dumps(session_json() | {"plan": other}))
    code, _, err = quick.evaluate()
    episode = session_folder() / session_json()["attempts"][0]["episode"]
    assert code == 1 and f"{episode}: plan must be {other}, that of plan.json, got " in err


def test_an_order_that_is_lost_or_not_the_plan_s_is_named(quick):
    quick.before = stop_at(4)
    quick.evaluate()
    path = session_folder() / "sealed_order.json"
    order = json.loads(path.read_text())
    for content, message in (
        (order | {"seed": "0" * 32}, "SHA-256 of salt and seed must be "),
        ({"seed": "x", "salt": order["salt"]}, "seed must be 32 hex digits"),
        ({"seed": order["seed"]}, "seed and salt must be those of the session"),
    ):
        path.write_text(json.dumps(content))
        code, _, err = quick.evaluate()
        assert code == 1 and str(path) in err and message in err
    path.unlink()
    assert "sealed_order.json must be a file, got nothing there" in quick.evaluate()[2]


def test_nothing_is_counted_twice(quick):
    quick.before = stop_at(4)
    quick.evaluate()
    content = session_json()
    again = content["attempts"][0] | {"number": 9}
    (session_folder() / "session.json").write_text(json.dumps(content | {"attempts": [*content["attempts"], again]}))
    code, _, err = quick.evaluate()
    assert code == 1 and "attempt 9: a state must count once as the first of its pair" in err
    turned = content["attempts"][0] | {"success": not content["attempts"][0]["success"]}
    (session_folder() / "session.json").write_text(json.dumps(content | {"attempts": [turned]}))
    assert "success must be " in quick.evaluate()[2]


def test_a_label_that_was_exchanged_is_found_out_when_it_is_unlocked(quick):
    quick.before = stop_at(4)
    quick.evaluate()
    content = session_json()
    for attempt in content["attempts"][:2]:
        attempt["seed"], attempt["variant"] = (
            attempt["seed"],
            {"first": "second", "second": "first"}[attempt["variant"]],
        )
    (session_folder() / "session.json").write_text(json.dumps(content))
    code, _, err = quick.run("unlock", session_folder(), "--early")
    assert code == 1 and "residual must be zero, as the base acted alone by sealed_order.json" in err
    assert session_json() == content


def test_a_session_that_says_it_was_unlocked_when_decided_and_was_not_does_not_go_on(quick):
    quick.before = stop_at(6)
    quick.evaluate()
    quick.run("unlock", session_folder(), "--early")
    content = session_json()
    content["unlocked"]["early"] = False
    (session_folder() / "session.json").write_text(json.dumps(content))
    assert "must still be blind to go on, it was unlocked early" in quick.evaluate()[2]
    quick.run("unlock", session_folder())
    assert (verdict()["decision"], verdict()["unlocked_early"]) == ("not_yet", True)


def test_what_cannot_be_planned_is_refused_before_anybody_is_asked(quick):
    fewest = StoppingRule().fewest_pairs()
    for episodes, message in (
        (
            2 * fewest - 2,
            f"--episodes must be at least {2 * fewest}, two for each of the fewest pairs that can show a difference",
        ),
        (21, "evaluate must be given an even number of --episodes"),
        (2000, "must be given --episodes from 1 to 1000, got 2000"),
    ):
        code, _, err = quick.evaluate("--episodes", episodes, approve=0)
        assert code == 1 and message in err
    assert not session_folder().exists()
    code, _, err = quick.evaluate(approve=0)
    assert code == 1 and "moves only with an operator's approval" in err and "--episodes 200" in err
    code, _, err = quick.evaluate("--episodes", 40, approve=39)
    assert code == 1 and "must cover 40 episodes, got 39 left" in err
    assert not session_folder().exists()


def test_the_level_and_the_least_effect_are_the_plan_s(quick):
    strict = StoppingRule(level=0.01, most_pairs=20, least_effect=0.3)
    quick.evaluate("--episodes", 40, "--level", 0.01, "--least-effect", 0.3)
    plan = json.loads((session_folder() / "plan.json").read_text())
    assert plan["stopping_rule"] == {"level": 0.01, "most_pairs": 20, "least_effect": 0.3}
    assert verdict()["pairs"] == strict.fewest_pairs() > StoppingRule().fewest_pairs()
    assert quick.evaluate("--level", 0.01)[0] == 0, "it has ended, and nothing else is asked for"


def test_a_level_needs_a_test_and_is_a_share(quick):
    for option in ("--level", "--least-effect"):
        code, _, err = quick.run("evaluate", "cube_lift", "--cell", "rehearsal", "--episodes", 2, option, 0.1)
        assert code == 1 and f"{option} must come with --until decided" in err
    code, _, err = quick.evaluate("--level", 0.7)
    assert code == 1 and "level must be in (0, 0.5], got 0.7" in err
    parser = ArgumentParser()
    stages.add_arguments(parser, "evaluate")
    for value in (StoppingRule().level, StoppingRule().least_effect):
        assert f"(default {value:g})" in parser.format_help()


def test_a_session_keeps_to_its_kind_and_to_the_most_episodes(quick):
    quick.before = stop_at(4)
    quick.evaluate("--episodes", 40)
    code, _, err = quick.evaluate("--episodes", 60)
    assert code == 1 and "session monday: --episodes must stay 40, as planned, got 60" in err
    for option, planned in (("--level", 0.05), ("--least-effect", 0.2)):
        code, _, err = quick.evaluate("--episodes", 40, option, 0.1)
        assert code == 1 and f"session monday: {option} must stay {planned}, as planned, got 0.1" in err
    plain = ("evaluate", "cube_lift", "--cell", "rehearsal", "--session", NAME, "--episodes", 2)
    code, _, err = quick.run(*plain)
    assert code == 1 and "session monday: until must stay 'decided', got None; begin another --session" in err


def test_a_session_killed_between_plan_and_first_episode_goes_on_with_its_plan(quick):
    quick.before = stop_at(1)
    quick.evaluate()
    plan = (session_folder() / "plan.json").read_bytes()
    (session_folder() / "session.json").unlink()
    for changed, message in (
        ({"cell": "twin"}, "cell must be 'rehearsal', got 'twin'"),
        ({"models": {}}, "models must be {"),
    ):
        (session_folder() / "plan.json").write_bytes(json_bytes(json.loads(plan) | changed))
        code, _, err = quick.evaluate()
        assert code == 1 and f"{session_folder() / 'plan.json'}: {message}" in err
    (session_folder() / "plan.json").write_bytes(plan)
    assert quick.evaluate()[0] == 0 and (session_folder() / "plan.json").read_bytes() == plan


def test_a_start_that_is_not_confirmed_is_named_asked_for_again_and_never_counted(quick):
    def misplace(cell, seed):
        if len(quick.starts) == 3:
            cell.misplaced[:] = (0.04, 0.0, 0.0)

    quick.before = misplace
    code, out, err = quick.evaluate()
    assert code == 0, err
    wrong = quick.starts[2]
    assert (
        f"episode 1 of pair 2: initial state {wrong} is not confirmed: every object must be within 15 mm and 15 deg"
        in out
    )
    assert "the tracker sees cuboid 40 mm and 0 deg away (1 of 3)" in out
    assert quick.starts[3] == wrong and verdict()["left_out"] == 0
    assert len(session_json()["attempts"]) == 2 * verdict()["pairs"], "asked for again within the same attempt"


def test_a_start_that_is_never_confirmed_leaves_its_pair_out(quick):
    lost = []

    def misplace(cell, seed):
        lost.append(seed) if not lost else None
        cell.misplaced[0] = 0.04 * (seed == lost[0])

    quick.before = misplace
    code, _, err = quick.evaluate()
    assert code == 0, err
    assert quick.starts.count(lost[0]) == 6 and verdict()["left_out"] == 1
    assert verdict()["decision"] == "better" and verdict()["pairs"] == StoppingRule().fewest_pairs()
    account = json.loads((session_folder() / "evaluation.json").read_text())["rehearsal"]["pairs"]
    assert [state["seed"] for state in account["left_out"]] == [lost[0]]
    recorded = [a["seed"] for a in session_json()["attempts"] if a["episode"]]
    assert lost[0] not in recorded and len(recorded) == 2 * verdict()["pairs"]


@pytest.mark.parametrize("kept", [0, 1])
def test_of_half_a_pair_nothing_is_compared(quick, kept):
    quick.before = stop_at(2 + 2 * kept)
    quick.evaluate()
    code, out, err = quick.run("unlock", session_folder(), "--early")
    assert code == 0, err
    if kept:
        assert verdict()["pairs"] == 1 and "still to run" not in out
    else:
        assert (
            "nothing to compare yet, no pair is complete" in out and not (session_folder() / "evaluation.json").exists()
        )


def test_only_a_blind_session_is_unlocked(quick):
    code, _, err = quick.run("unlock", session_folder())
    assert code == 1 and "session.json must be a file, got nothing there" in err
    session_folder().mkdir(parents=True)
    (session_folder() / "session.json").write_text('{"schema": 1, "session": "monday", "runs": [], "attempts": []}')
    code, _, err = quick.run("unlock", session_folder())
    assert code == 1 and "until must be 'decided'" in err


def test_the_verdict_is_that_of_the_pairs_in_the_order_of_the_plan(quick):
    quick.residual = 0.7
    quick.evaluate("--episodes", 60)
    content, plan = session_json(), read_plan(session_folder(), None)
    success = {(a["variant"], a["seed"]): a["success"] for a in content["attempts"]}
    seeds = [seed for seed in plan.states if ("base", seed) in success]
    pairs = [(success["base", seed], success["residual", seed]) for seed in seeds]
    expected = sequential_verdict(plan.stopping_rule, pairs)
    assert {name: verdict()[name] for name in expected} == expected


def test_at_the_terminal_the_approval_names_both_variants_and_the_rest_neither(quick, monkeypatch):
    monkeypatch.setattr("ocrrl.robot.operator.operator_prompt.at_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", StringIO("y\nAda\n\nrehearsal\n"))
    quick.before = stop_at(8)
    code, out, err = quick.evaluate(approve=0)
    assert code == 130
    asked, rest = err.split("Is the cell clear of people?")
    assert (
        "It compares base and base + residual, two episodes from each initial state, in an order that is hidden"
        in asked
    )
    assert "How many episodes may begin? [200]" in rest and not REVEALS.search(out + rest)
    assert session_json()["runs"][0]["operator"] == "Ada"
