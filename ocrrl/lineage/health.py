"""Problems of git and DVC in this project, with remedies."""

from collections.abc import Iterator
from pathlib import Path

from ocrrl.lineage.contents import broken_lists, cache_folder
from ocrrl.lineage.dvc_files import LOCK, read_dvc_files
from ocrrl.lineage.pipeline import pipeline_stages
from ocrrl.lineage.repository import git_refusal
from ocrrl.lineage.revision import Revision


def project_health(root: Path) -> Iterator[tuple[str, str, str]]:
    """Subject, what was found, and the remedy, empty where all is well; nothing outside a project with a dvc.yaml."""
    if not (root / "dvc.yaml").is_file():
        return
    refusal = git_refusal(root)
    lost = "until then DVC stops, and runs and sessions are recorded without a revision"
    yield "git", refusal or "answers", refusal and lost
    fault = ""
    try:
        revision = Revision(root)
        read_dvc_files(revision, {out for stage in pipeline_stages(revision.read).values() for out in stage.outs})
    except (ValueError, OSError) as error:
        fault = str(error)
    yield LOCK, "wrong" if fault else "valid", fault
    broken = list(broken_lists(cache_folder(root)))
    found = (
        f"{len(broken)} lists of files are broken: {', '.join(map(str, broken))}" if broken else "its lists are whole"
    )
    yield (
        "dvc cache",
        found,
        "delete them, then `dvc fetch` or `dvc commit -f <stage>` brings them back" if broken else "",
    )
