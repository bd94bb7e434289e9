"""For each tabletop task what its residual does to a base that fails, and how it fails itself, in the twin where it was filmed."""

from dataclasses import dataclass

from ocrrl.report.inputs import EvaluatedTask, cell_label
from ocrrl.report.strips import film_strip
from ocrrl.report.videos import clips_of

KINDS = {"rescued": (False, True), "harmed": (True, False), "failed": (False, False)}
"""Whether the base succeeded, and base + residual."""
SAID = {
    "rescued": "the residual rescues what the base alone fails at",
    "harmed": "the base alone succeeds, with the residual it fails",
    "failed": "both fail",
}


@dataclass(frozen=True)
class Strip:
    """A picture of one initial state, `name` being `<tabletop task>_<kind>`."""

    name: str
    caption: str
    jpeg: bytes


def strips(tasks: list[EvaluatedTask]) -> list[Strip]:
    """The first film of each of `KINDS`, task by task, from the last cell that was filmed (the simulator is first)."""
    found = []
    for task in tasks:
        shown: set[str] = set()
        cells = [film.cell for film in task.films]
        for film in task.films:
            clips = clips_of(film, task)
            kind = next((k for k, ends in KINDS.items() if ends == tuple(clip.success for clip in clips)), None)
            if film.cell != cells[-1] or kind is None or kind in shown:
                continue
            shown.add(kind)
            caption = f"{task.tabletop_task}, {cell_label(film.cell)}, initial state {film.seed}: {SAID[kind]}."
            found.append(Strip(f"{task.tabletop_task}_{kind}", caption, film_strip(clips)))
    return found
