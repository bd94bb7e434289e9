"""How often and when a person stepped into the episodes that a VLA was retrained on."""

from collections.abc import Sequence
from statistics import median

from ocrrl.report.json_reader import Json
from ocrrl.report.table import Table
from ocrrl.report.values import cell_label, number, percent, seconds

SHOWN = 20  # episodes


def interventions_table(episodes: Sequence[Json]) -> Table:
    """A row an episode, the first `SHOWN` of them, and one of all; `episodes` as `training.json` and the sidecar have them."""
    rows = [
        (
            episode["source"],
            episode["tabletop_task"],
            cell_label(episode["cell"]),
            ", ".join(f"{seconds(first)[:-2]} to {seconds(stop)}" for first, stop in episode["interventions"]),
            number(len(episode["interventions"])),
            seconds(episode["length"]),
            percent(_by_hand(episode) / episode["length"]),
        )
        for episode in episodes[:SHOWN]
    ]
    if episodes:
        spans, steps = (
            sum(f(episode) for episode in episodes) for f in (lambda e: len(e["interventions"]), lambda e: e["length"])
        )
        share = percent(sum(map(_by_hand, episodes)) / steps)
        begun = f"first at {seconds(median(episode['interventions'][0][0] for episode in episodes))} (median)"
        rows.append((f"all {len(episodes)}", "", "", begun, number(spans), seconds(steps), share))
    header = ("episode", "tabletop task", "cell", "a person acted", "interventions", "length", "share by a person")
    note = "Of these episodes the VLA is trained on what the person did, not on the policy's own steps (HG-DAgger)."
    note += f" The first {SHOWN} episodes are listed." if len(episodes) > SHOWN else ""
    return Table(header, rows, 4, "Where a person stepped in", note)


def _by_hand(episode: Json) -> int:
    return sum(stop - first for first, stop in episode["interventions"])
