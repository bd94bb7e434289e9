"""Table 1 over residual seeds, in Markdown: `python -m benchmarks.table1 [--seeds 3] [--round round0] [--page FOLDER]`.

Reads what `ocrrl params --preset default --residual-seeds 3 && dvc repro evaluate` left under data/. `dvc repro
report_multitask` writes the same table of the one residual that is rolled out, whose files dvc.yaml can name; with `--page`
its page is written over all seeds, the learning curves with their mean too.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ocrrl.layout import ROUND, Layout
from ocrrl.report.build_report import build_report, table_1_markdown
from ocrrl.report.paper_results import TABLE_1
from ocrrl.stages.report_multitask import read_round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many residual seeds: 0, 1, ...")
    parser.add_argument("--round", default=ROUND)
    parser.add_argument("--page", type=Path, help="a folder for the whole page over these seeds")
    options = parser.parse_args()
    seeds = range(options.seeds)
    try:
        require_evaluations(tuple(TABLE_1), options.round, seeds)
    except FileNotFoundError as error:
        sys.exit(str(error))
    measured = read_round(tuple(TABLE_1), options.round, seeds)
    if options.page:
        build_report(measured, options.page, f"python -m benchmarks.table1 --seeds {options.seeds}")
    print(table_1_markdown(measured))


def require_evaluations(slugs: Sequence[str], round_name: str, seeds: Sequence[int]) -> None:
    """Raises FileNotFoundError that names every missing file of an evaluation, and the command that makes them."""
    layouts = [Layout(slug, round_name) for slug in slugs]
    needed = [layout.evaluation(seed) for layout in layouts for seed in seeds]
    needed += [layout.evaluation_episodes(seed) / "episodes.json" for layout in layouts for seed in seeds]
    missing = [str(path) for path in needed if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"Table 1 over {len(seeds)} residual seed(s) needs every evaluation; missing:\n  "
            + "\n  ".join(missing)
            + f"\n`ocrrl params --preset default --residual-seeds {len(seeds)} && dvc repro evaluate` makes them"
        )


if __name__ == "__main__":
    main()
