"""docs/results.md from the last `make demo`: `python -m benchmarks.results > docs/results.md`.

Every number is read from the tracked metrics, the learning curve and the run record of this machine.
"""

import json

from ocrrl.interface.tabletop_tasks import TABLETOP_TASKS
from ocrrl.layout import Layout
from ocrrl.lineage.run_record import timings_table


def main() -> None:
    print("# Results\n")
    print("Printed by `python -m benchmarks.results` after `make demo`; initial states are held out (`test` seeds).\n")
    for slug in TABLETOP_TASKS:
        layout = Layout(slug)
        print((layout.report / "results.md").read_text().replace("# ", "## "))
        print(f"### Learning curve of the residual, {slug}, seed 0\n")
        points = json.loads((layout.residual(0) / "curve.json").read_text())["points"]
        print("| transitions | " + " | ".join(f"{point['transitions']:,}" for point in points) + " |")
        print("|---" * (len(points) + 1) + "|")
        print("| validated success | " + " | ".join(f"{point['validation_success']:.2f}" for point in points) + " |\n")
        replay = json.loads(layout.replay_report.read_text())["counts"]
        print(f"Replay kept {replay['kept']} of {replay['episodes']} demonstrations.\n")
    print("### What each stage cost\n")
    print("```\n" + timings_table() + "\n```")


if __name__ == "__main__":
    main()
