"""The plan of an evaluation until decided: fixed before the first episode, and named by its hash in all that follows.

`plan.json` in the session's folder. Its hash stands in `session.json`, in each of its runs, in every episode and in `evaluation.json`,
so that a plan that was changed afterwards is found out.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.rollouts.evaluate import VARIANTS
from ocrrl.rollouts.sequential_test import StoppingRule
from ocrrl.sessions.start_check import StartTolerance

PLAN_FILE = "plan.json"
SCHEMA = 1
DISCORDANCE = 0.3
"""Share of the pairs that one variant alone solves, which the least detectable effect is said for."""
TEST = "e-process on discordant pairs (ocrrl.rollouts.sequential_test), a look after every pair"


@dataclass(frozen=True)
class EvaluationPlan:
    """What an evaluation until decided keeps to."""

    session: str
    cell: str
    tabletop_task: str
    round: str
    residual_seed: int
    models: Mapping[str, str]
    """Fingerprint by path."""
    states: tuple[int, ...]
    """Seeds of the initial states, one a pair, in the order in which they run."""
    stopping_rule: StoppingRule
    order_sha256: str
    """What fixes the order of the variants inside each pair and does not tell it (`ocrrl.sessions.blind_order`)."""
    least_detectable_effect: float | None
    """Difference of success rates that the most pairs find with a chance of 0.8, where the variants disagree in `DISCORDANCE` of
    them; None where they find none so often (`ocrrl.rollouts.sequential_power`)."""
    start_tolerance: StartTolerance = field(default_factory=StartTolerance)
    variants: tuple[str, ...] = VARIANTS
    test: str = TEST
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        rule, fewest = self.stopping_rule, self.stopping_rule.fewest_pairs()
        if tuple(self.variants) != VARIANTS:
            raise ValueError(f"variants must be {' and '.join(VARIANTS)}, got {' and '.join(self.variants) or 'none'}")
        if self.test != TEST:
            raise ValueError(f"test must be that of this version, {TEST!r}, got {said(self.test)}")
        if rule.most_pairs < fewest:
            raise ValueError(
                f"stopping_rule.most_pairs must be at least {fewest}, the fewest pairs that can show a difference at level "
                f"{rule.level:g}, got {rule.most_pairs}"
            )
        if len(self.states) != rule.most_pairs:
            raise ValueError(
                f"states must hold {rule.most_pairs} initial states, one for each of the most pairs, got {len(self.states)}"
            )
        if len(set(self.states)) != len(self.states):
            twice = next(state for state in self.states if self.states.count(state) > 1)
            raise ValueError(f"states must be different, got {twice} twice")

    @property
    def content(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {
            "states": list(self.states),
            "variants": list(self.variants),
            "models": dict(self.models),
        }

    @property
    def sha256(self) -> str:
        """Of the canonical bytes: JSON with sorted keys (`ocrrl.files.json_bytes`)."""
        return hashlib.sha256(files.json_bytes(self.content)).hexdigest()

    @property
    def summary(self) -> str:
        """One line for people."""
        effect, rule = self.least_detectable_effect, self.stopping_rule
        finds = (
            "finds no difference with a chance of 0.8"
            if effect is None
            else f"finds a difference of {effect:.2f} with a chance of 0.8"
        )
        return (
            f"at most {rule.most_pairs} pairs at level {rule.level:g}; it {finds} where the variants disagree in {DISCORDANCE:.0%} of "
            f"them; plan {self.sha256}"
        )


def write_plan(folder: Path, plan: EvaluationPlan) -> None:
    """Write `plan` into the session's `folder`."""
    files.write_json(folder / PLAN_FILE, plan.content)


def read_plan(folder: Path, sha256: str | None) -> EvaluationPlan:
    """The plan of the session in `folder`, whose `session.json` holds the hash `sha256`; None where it holds none yet.

    ValueError that names the file and the field for a plan that was changed or is none, FileNotFoundError where there is none.
    """
    path = folder / PLAN_FILE
    content = read_json_object(
        path, "restore the file (`dvc checkout`, or a copy of the session), or begin another --session"
    )
    got = hashlib.sha256(files.json_bytes(content)).hexdigest()
    if sha256 is not None and got != sha256:
        raise ValueError(
            f"{path}: SHA-256 must be {sha256}, which session.json and the episodes hold, got {got}: the plan was changed after it "
            "was fixed; restore the file, or begin another --session"
        )
    try:
        return _plan(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; begin another --session") from error


def _plan(content: dict[str, Any]) -> EvaluationPlan:
    known = {entry.name for entry in fields(EvaluationPlan)}
    if set(content) != known:
        missing, other = sorted(known - set(content)), sorted(set(content) - known)
        raise ValueError(
            f"keys must be those of a plan, got {', '.join(missing) or 'none'} missing and {', '.join(other) or 'none'} more"
        )
    if content["schema"] != SCHEMA:
        raise ValueError(f"schema must be {SCHEMA}, got {said(content['schema'])}")
    try:
        return EvaluationPlan(
            **content
            | {
                "states": tuple(content["states"]),
                "variants": tuple(content["variants"]),
                "stopping_rule": StoppingRule(**content["stopping_rule"]),
                "start_tolerance": StartTolerance(**content["start_tolerance"]),
            }
        )
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"states, variants, stopping_rule and start_tolerance must be those of a plan, got: {error}"
        ) from error
