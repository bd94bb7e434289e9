"""An evaluation until decided: pairs in random order and blind, a look after every pair, an end by itself.

The pairs run in the order of the plan; none begins before the one before is complete or left out, so that an interrupted session
looks at the same pairs as one in one piece. The session is blind until it is decided; then it unlocks itself. Whoever unlocks it
before ends it, undecided.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ocrrl.episodes.episode_store import attributes_of, read_episode
from ocrrl.interface.json_file import read_json_object
from ocrrl.layout import Layout
from ocrrl.report.values import sequential_verdict_text
from ocrrl.rollouts.evaluate import VARIANTS
from ocrrl.rollouts.sequential_power import least_detectable_effect
from ocrrl.rollouts.sequential_test import SequentialVerdict, StoppingRule, sequential_verdict
from ocrrl.sessions.blind_order import LABELS, ORDER_FILE, BlindOrder, read_order, write_order
from ocrrl.sessions.evaluation_plan import DISCORDANCE, PLAN_FILE, EvaluationPlan, read_plan, write_plan
from ocrrl.sessions.evaluation_session import counts, left_out, to_run, write_comparison
from ocrrl.sessions.record_episodes import PlannedEpisode
from ocrrl.sessions.schedule import planned_episodes
from ocrrl.sessions.session_folder import SESSION_FILE, Attempt, SessionFolder, Unlocked, folder_of

RandomHex = Callable[[int], str]
"""Gives so many random bytes as hex digits."""
DECIDED = "decided"
BLIND = (
    "It compares base and base + residual, two episodes from each initial state, in an order that is hidden until the session has "
    "ended; it ends when it is decided, and episodes that do not begin lapse."
)
"""What an operator is told before they approve."""
PLANNED = ("cell", "tabletop_task", "round", "residual_seed", "models")
"""What a plan and `session.json` both say."""
RESTORE = "restore the session (`dvc checkout`, or a copy of it), or begin another --session"


class SequentialSession:
    """The session in a folder with its plan and the order inside its pairs."""

    def __init__(self, session: SessionFolder, plan: EvaluationPlan, order: BlindOrder) -> None:
        """ValueError where the session's attempts or episodes are not those of the plan, or one counts twice."""
        self.session, self.plan, self._order = session, plan, order
        self._planned = [(label, seed) for seed in plan.states for label in LABELS]
        self._require_own_episodes()

    def begin(self) -> None:
        """Write the plan and the sealed order, which nothing begins before."""
        if not (self.session.folder / PLAN_FILE).is_file():
            write_order(self.session.folder, self._order)
            write_plan(self.session.folder, self.plan)
        print(f"{self.session.folder / PLAN_FILE}: {self.plan.summary}", flush=True)

    @property
    def most(self) -> int:
        """Episodes that may still begin."""
        return 0 if self.over else len(to_run(self._labelled(), self._planned))

    @property
    def over(self) -> bool:
        """Whether no further episode is needed."""
        return self.verdict()["decision"] != "not_yet" or not to_run(self._labelled(), self._planned)

    def episodes(self) -> Iterator[PlannedEpisode]:
        """The next episode each time, until the session is over."""
        while not self.over:
            label, seed = to_run(self._labelled(), self._planned)[0]
            pair, place = self.plan.states.index(seed), LABELS.index(label)
            variant = self._order.variants(pair, self.plan.variants)[place]
            yield PlannedEpisode(variant, seed, label, f"episode {place + 1} of pair {pair + 1}")

    def verdict(self) -> SequentialVerdict:
        """On the complete pairs, up to the first one that is still to run."""
        return sequential_verdict(self.plan.stopping_rule, [success for _, success in self._pairs()])

    def compared(self) -> list[int]:
        """The initial states of those pairs."""
        return [seed for seed, _ in self._pairs()]

    def left_out(self) -> list[int]:
        """The initial states that were given up before the verdict."""
        return [state["seed"] for state in left_out(self._labelled())]

    def conclude(self, now_utc: str) -> None:
        """Unlock the session where it is over, and write `evaluation.json`; else say how far it is, and nothing of the outcomes."""
        if self.over:
            self.unlock(now_utc)
            return
        done, most = len(self.compared()), self.plan.stopping_rule.most_pairs
        print(f"{self.plan.cell}: {done} of at most {most} pairs are complete; the session stays blind")

    def unlock(self, now_utc: str, early: bool = False) -> None:
        """Say which variant each episode was, and write and print the verdict; the session has ended.

        ValueError for a session that is not decided, unless `early`.
        """
        if self.session.unlocked is None:
            self._unlock(now_utc, early)
        seeds = {*self.compared(), *self.left_out()}
        planned = [(variant, seed) for seed in self.plan.states if seed in seeds for variant in VARIANTS]
        result, plan = self.result(), self.plan
        write_comparison(self.session, Layout(plan.tabletop_task, plan.round), planned, result)
        print(f"{plan.cell}: base + residual against base. {sequential_verdict_text(result)}; plan {plan.sha256}")

    def _unlock(self, now_utc: str, early: bool) -> None:
        over, order = self.over, self._order
        if not over and not early:
            raise ValueError(
                f"session {self.session.folder.name} must be decided before it is unlocked, got {len(self.compared())} of at most "
                f"{self.plan.stopping_rule.most_pairs} pairs and no verdict; --early ends it, undecided"
            )
        for attempt in self.session.attempts:
            path = self.session.folder / str(attempt["episode"])
            acted_alone = attempt["episode"] is not None and self._variant_of(attempt) == "base"
            if acted_alone and _has_residual(path):
                raise ValueError(
                    f"{path}: residual must be zero, as the base acted alone by {ORDER_FILE}, got others; {RESTORE}"
                )
        record: Unlocked = {"at_utc": now_utc, "early": not over, "order_seed": order.seed, "order_salt": order.salt}
        self.session.unlock(record, self._variant_of)

    def result(self) -> dict[str, Any]:
        """The entry `sequential` of `evaluation.json`."""
        rule, verdict = self.plan.stopping_rule, self.verdict()
        exhausted = verdict["decision"] == "not_yet" and self.over
        return dict(verdict) | {
            "plan": self.plan.sha256,
            "decision": "most_pairs_reached" if exhausted else verdict["decision"],
            "unlocked_early": not self.over,
            "left_out": len(self.left_out()),
            "level": rule.level,
            "least_effect": rule.least_effect,
            "most_pairs": rule.most_pairs,
        }

    def _labelled(self) -> list[Attempt]:
        """The attempts under their labels, also of an unlocked session."""
        return [{**attempt, "variant": folder_of(attempt)} for attempt in self.session.attempts]

    def _variant_of(self, attempt: Attempt) -> str:
        order = self._order.variants(self.plan.states.index(attempt["seed"]), self.plan.variants)
        return order[LABELS.index(folder_of(attempt))]

    def _pairs(self) -> list[tuple[int, tuple[bool, bool]]]:
        """Initial state, and the successes of both variants in the order of `VARIANTS`."""
        given_up, pairs = set(self.left_out()), []
        success = {(self._variant_of(a), a["seed"]): bool(a["success"]) for a in self._labelled() if counts(a)}
        for seed in self.plan.states:
            if seed in given_up:
                continue
            if not all((variant, seed) in success for variant in VARIANTS):
                break
            base, residual = (success[variant, seed] for variant in VARIANTS)
            pairs.append((seed, (base, residual)))
        return pairs

    def _require_own_episodes(self) -> None:
        folder, counted = self.session.folder, set[tuple[str, int]]()
        for attempt in self._labelled():
            what, key = f"{folder}/session.json: attempt {attempt['number']}", (attempt["variant"], attempt["seed"])
            if key not in self._planned:
                raise ValueError(
                    f"{what}: variant and seed must be {' or '.join(LABELS)} and a state of {PLAN_FILE}, got {key}"
                )
            if attempt["episode"] is not None:
                self._require_own(attempt)
            if counts(attempt) and key in counted:
                raise ValueError(
                    f"{what}: a state must count once as the {key[0]} of its pair, got state {key[1]} twice"
                )
            if counts(attempt):
                counted.add(key)

    def _require_own(self, attempt: Attempt) -> None:
        path = self.session.folder / str(attempt["episode"])
        held, expected = attributes_of(path), (self.plan.sha256, attempt["seed"], attempt["success"])
        for name, got, required in zip(
            ("plan", "seed", "success"), (held.plan, held.seed, held.success), expected, strict=True
        ):
            if got != required:
                whose = f"that of {PLAN_FILE}" if name == "plan" else "that of session.json"
                raise ValueError(f"{path}: {name} must be {required}, {whose}, got {got}; {RESTORE}")


def _has_residual(path: Path) -> bool:
    """Whether a residual was added in the episode in `path`."""
    residual = read_episode(path, with_images=False).residual
    return residual is not None and bool(residual.any())


def sequential_session(
    folder: Path,
    identity: dict[str, Any],
    episodes: int | None,
    random_hex: RandomHex = secrets.token_hex,
    level: float | None = None,
    least_effect: float | None = None,
) -> SequentialSession:
    """The session in `folder`, new or gone on with; `episodes` are the most; what is None is as in the plan, or as in `StoppingRule`.

    Writes nothing. ValueError that names what does not fit: another plan, another session, one that was unlocked early.
    """
    begun = _plan_of(folder)
    if begun is not None or (folder / PLAN_FILE).is_file():
        plan = read_plan(folder, begun)
        if begun is None:
            _require_planned_for(folder, plan, identity)
        order, most = read_order(folder, plan.order_sha256), 2 * plan.stopping_rule.most_pairs
        rule = plan.stopping_rule
        asked = {
            "--episodes": (episodes, most),
            "--level": (level, rule.level),
            "--least-effect": (least_effect, rule.least_effect),
        }
        for option, (got, planned) in asked.items():
            if got not in (None, planned):
                raise ValueError(
                    f"session {folder.name}: {option} must stay {planned}, as planned, got {got}; begin another --session"
                )
    else:
        order = BlindOrder.draw(random_hex)
        usual = StoppingRule()
        rule = StoppingRule(
            level=usual.level if level is None else level,
            least_effect=usual.least_effect if least_effect is None else least_effect,
        )
        plan = _new_plan(folder.name, identity, episodes, rule, order.commitment)
    kept = identity | {"until": DECIDED, "plan": plan.sha256}
    session = SequentialSession(SessionFolder(folder, kept, (PLAN_FILE, ORDER_FILE)), plan, order)
    if (unlocked := session.session.unlocked) is not None and not session.over:
        raise ValueError(
            f"session {folder.name} must still be blind to go on, it was unlocked early at {unlocked['at_utc']} and ended "
            "undecided; begin another --session"
        )
    return session


def _require_planned_for(folder: Path, plan: EvaluationPlan, identity: dict[str, Any]) -> None:
    """ValueError where `plan`, which no episode has followed yet, is another session's."""
    asked = {"session": folder.name} | {name: identity[name] for name in PLANNED}
    for name, required in asked.items():
        if getattr(plan, name) != required:
            got = getattr(plan, name)
            raise ValueError(f"{folder / PLAN_FILE}: {name} must be {required!r}, got {got!r}; begin another --session")


def begun_session(folder: Path) -> SequentialSession:
    """The session in `folder`; ValueError where it is no evaluation until decided."""
    session = SessionFolder.at(folder)
    if session.identity.get("until") != DECIDED:
        raise ValueError(
            f"{folder}/{SESSION_FILE}: until must be {DECIDED!r}, a session of `ocrrl evaluate --until {DECIDED}`, got "
            f"{session.identity.get('until')!r}; nothing is hidden in others"
        )
    plan = read_plan(folder, str(session.identity["plan"]))
    return SequentialSession(session, plan, read_order(folder, plan.order_sha256))


def _plan_of(folder: Path) -> str | None:
    """The hash of the plan that `session.json` holds."""
    path = folder / SESSION_FILE
    return read_json_object(path, "restore the session").get("plan") if path.is_file() else None


def _new_plan(
    session: str, identity: dict[str, Any], episodes: int | None, rule: StoppingRule, order_sha256: str
) -> EvaluationPlan:
    most, fewest = 2 * rule.most_pairs if episodes is None else episodes, 2 * rule.fewest_pairs()
    if most < fewest:
        raise ValueError(
            f"--episodes must be at least {fewest}, two for each of the fewest pairs that can show a difference, got {most}"
        )
    states = tuple(dict.fromkeys(seed for _, seed in planned_episodes("evaluate", session, most)))
    rule = replace(rule, most_pairs=len(states))
    return EvaluationPlan(
        session=session,
        **{name: identity[name] for name in PLANNED},
        states=states,
        stopping_rule=rule,
        order_sha256=order_sha256,
        least_detectable_effect=least_detectable_effect(rule, DISCORDANCE),
    )
