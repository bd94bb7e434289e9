"""Records the hashes of this checkout's code as this version in `ocrrl/migrate/code_versions.json`, for `ocrrl migrate`.

    python -m benchmarks.same_bytes BEFORE AFTER && python -m benchmarks.code_versions

only after the first command found that this code computes what the versions before computed; their hashes stay as they are.
"""

import json
from pathlib import Path

import yaml

from ocrrl import migrate
from ocrrl.lineage.reading.pipeline import pipeline_stages
from ocrrl.migrate.new_lock import CODE_VERSIONS, THIS_VERSION, code_entries
from ocrrl.params import Params
from ocrrl.params_graph import graph_sections
from ocrrl.preset_params import resolve
from ocrrl.tabletop.registry import MODULES


def main() -> None:
    tasks = Params(resolve("default", list(MODULES))).tabletop_tasks
    graph = yaml.safe_dump(graph_sections(tasks, residual_seeds=1, rounds=2))
    stages = pipeline_stages({"dvc.yaml": Path("dvc.yaml").read_text(), "graph.yaml": graph}.get)
    path = Path(next(iter(migrate.__path__)), CODE_VERSIONS)
    versions = json.loads(path.read_text()) | {THIS_VERSION: code_entries(Path(), stages)}
    path.write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
