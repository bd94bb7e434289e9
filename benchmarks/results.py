"""docs/results.md: `python -m benchmarks.results --recorded benchmarks/recorded/results.json > docs/results.md`.

| command                                  | prints                                                               |
|------------------------------------------|----------------------------------------------------------------------|
| `... [--seeds 3] [--about "..."]`        | what was run here: metrics, learning curves and run record in data/  |
| `... [--seeds 3] --record FILE`          | the same; and records the values as JSON                             |
| `... --recorded FILE`                    | recorded values, of a run whose data/ may be gone                    |

What was not run is named, with the command that runs it.
"""

import argparse
import re
from pathlib import Path

from benchmarks.measured_results import MeasuredResults, measure_here, read_recorded, record
from ocrrl.layout import ROUND
from ocrrl.lineage.run_record import timings_text
from ocrrl.report.build_report import results_markdown
from ocrrl.report.inputs import Measured
from ocrrl.report.page import markdown
from ocrrl.tabletop.registry import slugs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="residual seeds that Table 1 is printed over, too")
    parser.add_argument("--tasks", nargs="+", choices=slugs(), default=slugs(), help="tabletop tasks (all)")
    parser.add_argument(
        "--about", default="", help="a paragraph on the run: the preset, the machine, what ran beside it"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write what was measured here as JSON, too")
    parser.add_argument("--recorded", type=Path, metavar="FILE", help="print what `--record` wrote")
    options = parser.parse_args()
    if options.recorded:
        print(results_page(read_recorded(options.recorded), recorded_command(options.recorded)))
        return
    measured = measure_here(options.seeds, options.about, options.tasks)
    if options.record:
        record(measured, options.record)
    print(results_page(measured, command_here(options.seeds)))


def recorded_command(path: Path) -> str:
    """The command that prints the page from `path`."""
    return f"python -m benchmarks.results --recorded {path}"


def command_here(residual_seeds: int) -> str:
    """The command that prints the page of what was measured here."""
    return "python -m benchmarks.results" + (f" --seeds {residual_seeds}" if residual_seeds > 1 else "")


def results_page(results: MeasuredResults, command: str) -> str:
    """The page: all tabletop tasks, Table 1 over several residual seeds if there are, later rounds, each task, the cost."""
    rounds = [results_markdown(found) for found in results.rounds]
    if not rounds and len(results.tasks) == len(slugs()):
        rounds = ["# All tabletop tasks\n\nNot run here; `dvc repro report_multitask` makes it."]
    parts = [
        "# Results",
        f"Printed by `{command}`; initial states are held out (`test` seeds).",
        *filter(None, [results.about]),
        *map(_one_level_down, rounds[:1]),
    ]
    if results.over_seeds:
        parts += [f"## All tabletop tasks over {results.residual_seeds} residual seeds", _over_seeds(results)]
    parts += [_one_level_down(text) for text in rounds[1:]]
    parts += [_task(measured) for measured in results.tasks]
    return "\n\n".join([*parts, "## What each stage cost", f"```\n{timings_text(results.timings)}\n```"])


def _over_seeds(results: MeasuredResults) -> str:
    if isinstance(results.over_seeds, str):
        return results.over_seeds
    return markdown(results.over_seeds, level=3)


def _task(measured: Measured) -> str:
    """A tabletop task's report, or how to get it."""
    if measured.tasks[0].evaluations:
        return _one_level_down(results_markdown(measured))
    return f"## {measured.name}, {ROUND}\n\nNot run here; `dvc repro report@{measured.name}` makes it."


def _one_level_down(markdown: str) -> str:
    return re.sub(r"^#", "##", markdown.strip(), flags=re.MULTILINE)


if __name__ == "__main__":
    main()
