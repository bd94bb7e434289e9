"""`ocrrl lineage`: the document that the options ask for."""

import argparse
import json
from dataclasses import asdict

from ocrrl.lineage.difference import Difference, compare
from ocrrl.lineage.difference_text import difference_text
from ocrrl.lineage.document import FORMAT, lineage_document, named_revision
from ocrrl.lineage.lineage import Lineage, lineage, lineage_text, trace
from ocrrl.lineage.mermaid import lineage_mermaid
from ocrrl.lineage.project import Project, find_project
from ocrrl.lineage.reading.revision import Revision
from ocrrl.lineage.verify import verify, verify_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="anything that DVC tracks, or a file in it: data/models/vla_retrained")
    parser.add_argument("--rev", help="at a git revision instead of the working tree")
    parser.add_argument("--format", default="text", choices=("text", "json", "mermaid"))
    parser.add_argument("--all", action="store_true", help="list every rollout too")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--diff", metavar="REV", help="what changed since that revision, and why it was made again")
    other.add_argument("--verify", action="store_true", help="hash every file again; exit code 1 if one differs")


def run(options: argparse.Namespace) -> int:
    if options.verify:
        return _verify(options.path, options.rev)
    if options.diff:
        print(_difference(options.path, options.diff, options.rev, options.format))
        return 0
    found = lineage(options.path, options.rev)
    as_text = {"json": lineage_json, "mermaid": lineage_mermaid, "text": lambda each: lineage_text(each, options.all)}
    print(as_text[options.format](found))
    return 0


def _verify(path: str, revision: str | None) -> int:
    """Print what is in the workspace held against its hashes; the exit code: 1 if anything is missing or changed."""
    if revision is not None:
        raise ValueError(f"--verify looks at the working tree, so --rev must be left out, got {revision}")
    project, relative = find_project(path)
    verdicts = verify(project.tree(relative), project.contents)
    print(verify_text(verdicts))
    return int(any(verdict.state != "ok" for verdict in verdicts))


def _difference(path: str, earlier: str, revision: str | None, form: str) -> str:
    """What changed at `path` from the revision `earlier` to `revision`; text, or JSON with the fields of `Difference`."""
    if form == "mermaid":
        raise ValueError("--format must be text or json with --diff, got mermaid")
    project, relative = find_project(path, revision)
    before = trace(Project(Revision(project.root, earlier)), relative)
    difference = compare(before, trace(project, relative))
    return _difference_json(difference) if form == "json" else difference_text(difference)


def _difference_json(difference: Difference) -> str:
    revisions = [named_revision(revision) for revision in difference.revisions]
    stages = [asdict(stage) | {"is_cause": stage.is_cause} for stage in difference.stages]
    return json.dumps({"format": FORMAT, **asdict(difference), "revisions": revisions, "stages": stages}, indent=2)


def lineage_json(lineage: Lineage) -> str:
    """`lineage_document` as text."""
    return json.dumps(lineage_document(lineage), indent=2)
