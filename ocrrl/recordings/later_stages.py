"""Warns of valid recordings that later stages will refuse, with the next step."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ocrrl.interface.episode import Episode
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.ingest_config import IngestConfig

FEWEST = 2
"""Episodes below which a VLA has one motion to imitate and nothing to tell it from."""
ROLLOUT_CELL = "twin"
"""The cell that the pipeline's `rollout` records in."""


@dataclass(frozen=True)
class EpisodeFacts:
    """What later stages ask of an episode."""

    instruction: str
    cell: str
    length: int
    has_object_poses: bool

    @classmethod
    def of(cls, episode: Episode) -> "EpisodeFacts":
        attributes = episode.attributes
        return cls(attributes.instruction, attributes.cell, len(episode), episode.object_poses is not None)


def count_of(episodes: int) -> str:
    """`1 episode`, `2 episodes`."""
    return f"{episodes} episode{'s' * (episodes != 1)}"


def what_later_stages_say(facts: Sequence[EpisodeFacts], task: TabletopTask, config: IngestConfig) -> tuple[str, ...]:
    """A line for each thing, with the next step; nothing where nothing stands in the way."""
    return (*_instructions(facts, task, config), *_poses(facts, task, config), *_lengths(facts, task))


def why_not_mixed(cells: Sequence[str], task: TabletopTask, mixed: Sequence[str]) -> str | None:
    """Why `training_set` will refuse demonstrations of `cells`, when its parameter `cells` is `mixed`; None where it takes them."""
    together = sorted({*cells, ROLLOUT_CELL})
    if len(together) == 1 or set(together) <= set(mixed):
        return None
    named = f"[{', '.join(together)}]"
    return (
        f"cell: {', '.join(sorted(set(cells)))}, where rollouts come from {ROLLOUT_CELL}: training_set will refuse to mix them; "
        f"training_set.{task.slug}.cells: {named} allows it"
    )


def _instructions(facts: Sequence[EpisodeFacts], task: TabletopTask, config: IngestConfig) -> list[str]:
    others = Counter(fact.instruction for fact in facts if fact.instruction != task.instruction)
    own = config.source_format == "ocrrl"
    step = "record with the task's words" if own else f"ingest.{task.slug}.mapping.instruction sets the words"
    return [
        f"{count_of(count)}: instruction {words!r} is not the task's {task.instruction!r}, with which train_residual, evaluate "
        f"and rollout ask the VLA; {step}"
        for words, count in others.items()
    ]


def _poses(facts: Sequence[EpisodeFacts], task: TabletopTask, config: IngestConfig) -> list[str]:
    without = sum(not fact.has_object_poses for fact in facts)
    if not without:
        return []
    where = (
        "record object_poses and object_confidence"
        if config.source_format == "ocrrl"
        else f"ingest.{task.slug}.mapping.object_poses says where they are"
    )
    names = ", ".join(tracked.name for tracked in task.objects)
    all_of_them = " and, with none left, ends the loop there" if without == len(facts) else ""
    return [
        f"{count_of(without)}: no poses of the objects ({names}): replay drops such an episode{all_of_them}; {where}, or train "
        f"on images alone: finetune.{task.slug}.real_episodes: all"
    ]


def _lengths(facts: Sequence[EpisodeFacts], task: TabletopTask) -> list[str]:
    lines = []
    if 0 < len(facts) < FEWEST:
        lines.append(f"{count_of(len(facts))}: too few for a VLA to learn from; ingest at least {FEWEST}, better 30")
    longer = [fact.length for fact in facts if fact.length > task.horizon]
    if longer:
        lines.append(
            f"{count_of(len(longer))}: longer than the task's horizon of {task.horizon} steps (up to {max(longer)}): rollouts and "
            "evaluation end there, so cut pauses when recording"
        )
    return lines
