"""Which episodes of an evaluation session count, and which initial states run again.

An episode counts, as a success or a failure, unless a technical fault ended it (`interface.protocols.Abort`): a lost camera
says nothing of the policy. An episode that the operator stopped or called failed is a failure, and so is one in which the arm
stopped because of its commands. After a fault the same variant runs from the same initial state again when the session
continues, as after an error or Ctrl-C that interrupted an episode. After `ATTEMPTS` of these the pair is left out, both
variants of it, and the evaluation says so: nothing is repeated until it succeeds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ocrrl.layout import Layout
from ocrrl.rollouts.evaluate import VARIANTS, PairedEvaluation, write_evaluation
from ocrrl.sessions.session_folder import Attempt, SessionFolder

ATTEMPTS = 2
TRACES = 3  # episodes of base + residual whose course `episodes.json` keeps, as the stage's default


class LeftOut(TypedDict):
    """An initial state in which no variant is compared."""

    seed: int
    variant: str
    """The one in which every attempt was broken off."""
    faults: list[str]


class Pairs(TypedDict):
    """What became of the initial states of an evaluation; an entry of `evaluation.json`."""

    planned: int
    complete: int
    """Both variants count: these alone are compared."""
    still_to_run: int
    left_out: list[LeftOut]


def counts(attempt: Attempt) -> bool:
    """Whether what was recorded is a success or a failure of the policy."""
    return attempt["episode"] is not None and attempt["aborted_by"] != "fault"


def broken_off(attempt: Attempt) -> bool:
    """Whether an episode that had begun says nothing of the policy: a fault, an error or Ctrl-C ended it."""
    return bool(attempt["aborted"]) and not counts(attempt) and attempt["aborted_by"] != "operator"


def of_plan(attempts: Sequence[Attempt], planned: Sequence[tuple[str, int]]) -> list[Attempt]:
    """The attempts at what is `planned`, pairs of variant and seed: a session may be gone on with for fewer than it has."""
    wanted = set(planned)
    return [attempt for attempt in attempts if (attempt["variant"], attempt["seed"]) in wanted]


def to_run(attempts: Sequence[Attempt], planned: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of `planned`, pairs of variant and seed, that have no episode that counts, and are not left out."""
    counted = {(attempt["variant"], attempt["seed"]) for attempt in attempts if counts(attempt)}
    given_up = {state["seed"] for state in left_out(attempts)}
    return [(variant, seed) for variant, seed in planned if (variant, seed) not in counted and seed not in given_up]


def left_out(attempts: Sequence[Attempt]) -> list[LeftOut]:
    """The initial states that are given up, in the order in which that happened."""
    faults: dict[tuple[str, int], list[str]] = defaultdict(list)
    given_up: list[LeftOut] = []
    for attempt in attempts:
        if broken_off(attempt):
            of_state = faults[attempt["variant"], attempt["seed"]]
            of_state.append(attempt["aborted"])
            if len(of_state) == ATTEMPTS:
                given_up.append({"seed": attempt["seed"], "variant": attempt["variant"], "faults": of_state})
    return given_up


def pairs(attempts: Sequence[Attempt], planned: Sequence[tuple[str, int]], complete: int) -> Pairs:
    """The account of an evaluation by `attempts` of its plan, in which `complete` initial states have both variants."""
    return {
        "planned": len({seed for _, seed in planned}),
        "complete": complete,
        "still_to_run": len({seed for _, seed in to_run(attempts, planned)}),
        "left_out": left_out(attempts),
    }


def told(account: Pairs, session: str) -> list[str]:
    """Lines for people on the initial states of `session` that are not compared; none where all are."""
    lines = []
    if account["still_to_run"]:
        lines.append(
            f"{account['still_to_run']} of {account['planned']} pairs are still to run: --session {session} goes on with them"
        )
    if account["left_out"]:
        faults = "; ".join(
            f"{state['seed']} ({state['variant']}): {state['faults'][-1]}" for state in account["left_out"]
        )
        lines.append(
            f"{len(account['left_out'])} of {account['planned']} pairs are left out, broken off {ATTEMPTS} times each: {faults}"
        )
    return lines


def write_comparison(
    session: SessionFolder,
    layout: Layout,
    planned: Sequence[tuple[str, int]],
    sequential: Mapping[str, Any] | None = None,
) -> None:
    """Write `evaluation.json` and `episodes.json` on the initial states of `planned` that are complete, and print the rates.

    `sequential` is the verdict of an evaluation until decided. Nothing is written while no pair is complete.
    """
    cell, attempts = str(session.identity["cell"]), of_plan(session.attempts, planned)
    counted = [attempt for attempt in attempts if counts(attempt)]
    outcomes = [
        session.outcomes(attempt for attempt in counted if attempt["variant"] == variant) for variant in VARIANTS
    ]
    paired = set.intersection(*({outcome.seed for outcome in variant} for variant in outcomes))
    base, residual = ([outcome for outcome in variant if outcome.seed in paired] for variant in outcomes)
    account = pairs(attempts, planned, len(paired))
    for line in told(account, session.folder.name):
        print(f"{cell}: {line}")
    if not paired:
        print(f"{cell}: nothing to compare yet, no pair is complete")
        return
    evaluation = PairedEvaluation(cell, base, residual, pairs=account, sequential=sequential)
    folder, where, residual_seed = (
        session.folder,
        session.folder / "evaluation.json",
        int(session.identity["residual_seed"]),
    )
    write_evaluation(where, folder, layout.tabletop_task, layout.round_number, residual_seed, [evaluation], TRACES)
    rates = [sum(outcome.success for outcome in variant) / len(variant) for variant in (base, residual)]
    print(f"{cell}: base {rates[0]:.2f}, base + residual {rates[1]:.2f} of {len(base)} episodes")
