"""`ocrrl lineage`: which document a command line asks for."""

import argparse
import json
from dataclasses import asdict

from ocrrl.lineage.difference import Difference, compare
from ocrrl.lineage.difference_text import difference_text
from ocrrl.lineage.json_document import lineage_json
from ocrrl.lineage.lineage import trace
from ocrrl.lineage.mermaid import lineage_mermaid
from ocrrl.lineage.project import Project, find_project
from ocrrl.lineage.revision import Revision
from ocrrl.lineage.text import lineage_text
from ocrrl.lineage.verify import verify, verify_text

FORMATS = ("text", "json", "mermaid")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="anything that DVC tracks, or a file in it: data/models/vla_retrained")
    parser.add_argument("--rev", help="at a git revision in place of the working tree")
    parser.add_argument("--format", default="text", choices=("text", "json", "mermaid"))
    parser.add_argument("--all", action="store_true", help="every rollout too, a row each")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--diff", metavar="REV", help="what changed since that revision, and why it was made again")
    other.add_argument(
        "--verify", action="store_true", help="hash every file again; exit code 1 if one is not the same"
    )


def run(options: argparse.Namespace) -> int:
    if options.verify:
        document, code = verify_document(options.path, options.rev)
        print(document)
        return code
    if options.diff:
        print(difference_document(options.path, options.diff, options.rev, options.format))
    else:
        print(lineage_document(options.path, options.rev, options.format, options.all))
    return 0


def lineage_document(path: str, revision: str | None, form: str, every_rollout: bool) -> str:
    """The lineage of `path` at `revision`, None for the working tree, in one of `FORMATS`."""
    lineage = trace(*find_project(path, revision))
    if form == "json":
        return lineage_json(lineage)
    return lineage_mermaid(lineage) if form == "mermaid" else lineage_text(lineage, every_rollout)


def difference_document(path: str, earlier: str, revision: str | None, form: str) -> str:
    """What changed at `path` from the revision `earlier` to `revision`; text, or JSON with the fields of `Difference`."""
    if form == "mermaid":
        raise ValueError("--format must be text or json with --diff, got mermaid")
    project, relative = find_project(path, revision)
    before = trace(Project(Revision(project.root, earlier)), relative)
    difference = compare(before, trace(project, relative))
    return _json(difference) if form == "json" else difference_text(difference)


def verify_document(path: str, revision: str | None) -> tuple[str, int]:
    """What is in the workspace held against its hashes, and the exit code: 1 if anything is missing or changed."""
    if revision is not None:
        raise ValueError(f"--verify looks at the working tree, so --rev must be left out, got {revision}")
    project, relative = find_project(path)
    verdicts = verify(project.tree(relative), project.contents)
    return verify_text(verdicts), int(any(verdict.state != "ok" for verdict in verdicts))


def _json(difference: Difference) -> str:
    def plain(value: object) -> object:
        if isinstance(value, Revision):
            return {"name": value.name, "commit": value.commit}
        raise TypeError(type(value).__name__)

    rows = {name: value for name, value in vars(difference).items() if name != "stages"}
    top = rows["top_files"]
    stages = [asdict(stage) | {"is_cause": stage.is_cause} for stage in difference.stages]
    return json.dumps(
        {"format": 1, **rows, "top_files": top and asdict(top), "stages": stages}, indent=2, default=plain
    )
