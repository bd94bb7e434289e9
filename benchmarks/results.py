"""docs/results.md from what was run here: `python -m benchmarks.results [--seeds 3] [--about "..."] > docs/results.md`.

Every number is read from the reports, the tracked metrics, the learning curves and the run record of this machine. What was
not run is named, with the command that runs it.
"""

import argparse
import itertools
import json
import re
from pathlib import Path

from benchmarks.table1 import require_evaluations
from ocrrl.interface.tabletop_tasks import TABLETOP_TASKS
from ocrrl.layout import MULTITASK, ROUND, Layout
from ocrrl.lineage.run_record import timings_table
from ocrrl.report.build_multitask_report import table_1_markdown
from ocrrl.report.paper_results import TABLE_1
from ocrrl.stages.report_multitask import read_round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="residual seeds that Table 1 is printed over, too")
    parser.add_argument(
        "--about", default="", help="a paragraph on the run: the preset, the machine, what ran beside it"
    )
    options = parser.parse_args()
    print(results_page(options.seeds, options.about))


def results_page(residual_seeds: int, about: str = "") -> str:
    """The page: all tabletop tasks, Table 1 over `residual_seeds` if there are several, later rounds, each task, the cost."""
    seeds = f" --seeds {residual_seeds}" if residual_seeds > 1 else ""
    parts = [
        "# Results",
        f"Printed by `python -m benchmarks.results{seeds}`; initial states are held out (`test` seeds).",
        *filter(None, [about]),
        _report(MULTITASK, "All tabletop tasks", "dvc repro report_multitask"),
    ]
    if residual_seeds > 1:
        parts.append(_over_seeds(residual_seeds))
    parts += [_one_level_down(path.read_text().strip()) for path in later_reports()]
    parts += [_task(slug) for slug in TABLETOP_TASKS]
    return "\n\n".join([*parts, "## What each stage cost", f"```\n{timings_table()}\n```"])


def _report(item: str, title: str, command: str) -> str:
    """The Markdown of a report, one level down; or that it was not run."""
    path = Layout(item).report / "results.md"
    if not path.is_file():
        return f"## {title}\n\nNot run here; `{command}` makes it."
    return _one_level_down(path.read_text().strip())


def later_reports() -> list[Path]:
    """The pages over all tabletop tasks of the rounds after the first, in their order, as far as they are there."""
    numbers = itertools.count(1)
    pages = (Layout(MULTITASK, f"round{number}").report / "results.md" for number in numbers)
    return list(itertools.takewhile(Path.is_file, pages))


def _task(slug: str) -> str:
    """A tabletop task's report, its learning curve and its replays, as far as they are there."""
    layout = Layout(slug)
    parts = [_report(slug, f"{slug}, {ROUND}", f"dvc repro report@{slug}")]
    curve = layout.residual(0) / "curve.json"
    if curve.is_file():
        points = json.loads(curve.read_text())["points"]
        known = [point for point in points if point.get("validation_success") is not None]
        transitions = (f"{point['transitions']:,}" for point in known)
        rates = (f"{point['validation_success']:.2f}" for point in known)
        table = [("transitions", *transitions), ("---",) * (len(known) + 1), ("validated success", *rates)]
        parts.append(f"### Learning curve of the residual, {slug}, seed 0")
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in table))
    if layout.replay_report.is_file():
        counts = json.loads(layout.replay_report.read_text())["counts"]
        parts.append(f"Replay kept {counts['kept']} of {counts['episodes']} demonstrations.")
    return "\n\n".join(parts)


def _over_seeds(count: int) -> str:
    title = f"## All tabletop tasks over {count} residual seeds"
    try:
        require_evaluations(tuple(TABLE_1), ROUND, range(count))
    except FileNotFoundError as error:
        return f"{title}\n\nNot run here. {error}."
    return f"{title}\n\n{_one_level_down(table_1_markdown(read_round(tuple(TABLE_1), ROUND, range(count))))}"


def _one_level_down(markdown: str) -> str:
    return re.sub(r"^#", "##", markdown, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
