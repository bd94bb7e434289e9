"""`ocrrl ingest --check FOLDER`: prints what ingest and later stages would refuse or change; writes nothing."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import WORK
from ocrrl.params import PARAMS_FILE, Params
from ocrrl.printable import one_line
from ocrrl.tabletop.registry import slugs, tabletop_task


def check_recordings(options: argparse.Namespace) -> int:
    """Print the check of `options.check`; the exit code is 0 if every recording can be read."""
    from ocrrl.recordings.check_folder import check_folder, kinds_in
    from ocrrl.recordings.expendable import UnforeseenLog

    folder = options.check
    params = Params.read() if PARAMS_FILE.is_file() else None
    kinds = kinds_in(folder)
    named = options.tabletop_task or kinds.tabletop_task
    task, why = choose_task(named, folder, kinds.source_format, params)
    cameras = params.cameras if params else DEFAULT_CAMERAS
    log = UnforeseenLog(WORK / "logs" / f"check-{task.slug}.txt")
    check = check_folder(folder, task, declared_config(params, task), cameras, log, kinds)
    later = _later(check, params)
    if options.json:
        print(json.dumps(_document(check, later), indent=2, ensure_ascii=True))
    else:
        print("\n".join(_lines(check, later, why)))
    return check.exit_code


def choose_task(
    named: str | None, folder: Path, source_format: str | None, params: Params | None
) -> tuple[TabletopTask, str]:
    """The tabletop task to check for, and where it comes from.

    The one that is named by the user or the recordings; else the one of params.yaml whose demonstrations lie in `folder`, or
    whose mapping is of the format; else the first. Raises ValueError for a name that is none.
    """
    if named is not None:
        return tabletop_task(named), "named"
    tasks = [slug for slug in (params.tasks() if params else slugs()) if slug in slugs()]
    if params is not None:
        for slug in tasks:
            if params.episodes_folder(slug).resolve() == folder.resolve():
                return tabletop_task(slug), "params.yaml names the folder"
        for slug in tasks:
            if source_format not in (None, "ocrrl") and params.config("ingest", slug).source_format == source_format:
                return tabletop_task(slug), "its mapping in params.yaml is of this format"
    return tabletop_task(tasks[0] if tasks else slugs()[0]), "no task was named: ocrrl ingest TASK --check"


def declared_config(params: Params | None, task: TabletopTask):
    """The parameters of `ingest` for `task`, the defaults where params.yaml has none."""
    from ocrrl.recordings.ingest_config import IngestConfig

    if params is not None and task.slug in params.tasks():
        return params.config("ingest", task.slug)
    return IngestConfig()


def _later(check, params: Params | None) -> list[str]:
    """What `training_set` will say of the cells, where they are known."""
    from ocrrl.recordings.later_stages import why_not_mixed

    if check.suggestion is not None or not check.summary.accepted:
        return []
    mixed: tuple[str, ...] = ()
    if params is not None and check.task.slug in params.tasks():
        mixed = params.config("training_set", check.task.slug).cells
    line = why_not_mixed(check.summary.cells, check.task, mixed)
    return [line] if line else []


def _lines(check, later: list[str], why: str) -> list[str]:
    kinds = ", ".join(f"{count} x {kind}" for kind, count in check.kinds.counts.items()) or "no recordings"
    several = len({kind[0] for kind in check.kinds.containers.values()}) > 1
    mixed = " (mixed: ingest reads one format at a time)" if several else ""
    lines = [f"{check.folder}: {kinds}{mixed}; checked as {check.task.slug} ({why})"]
    if check.suggestion is not None:
        lines.append("mapping: none in params.yaml for this format; a suggested one is at the end")
    elif check.config is not None and check.config.source_format != "ocrrl":
        lines.append("mapping: that of params.yaml")
    lines += check.summary.describe().split("\n") + later
    if check.episode is not None:
        lines += ["", *check.episode.lines()]
    if check.fields is not None:
        lines += ["", *check.fields.lines()]
    if check.suggestion is not None:
        lines += ["", "for params.yaml (the other keys of the section stay):", *check.suggestion.lines(check.task.slug)]
        if check.unreadable and not check.summary.accepted:
            lines.append(f"# with it, reading still says: {one_line(check.unreadable)}")
    return lines


def _document(check, later: list[str]) -> dict:
    summary = check.summary
    return {
        "folder": str(check.folder),
        "tabletop_task": check.task.slug,
        "formats": check.kinds.counts,
        "source_format": check.kinds.source_format,
        "mapping": "suggested" if check.suggestion is not None else "declared",
        "accepted": list(summary.accepted),
        "rejected": [{"source": name, "reason": reason} for name, reason in sorted(summary.rejected.items())],
        "left_out": [{"source": name, "reason": reason} for name, reason in sorted(summary.left_out.items())],
        "notes": [*summary.notes, *later],
        "episode": None if check.episode is None else asdict(check.episode),
        "fields": None if check.fields is None else [field.describe() for field in check.fields.numbers.values()],
        "suggestion": None
        if check.suggestion is None
        else {
            "source_format": check.suggestion.source_format,
            "mapping": check.suggestion.mapping,
            "open": sorted(check.suggestion.open_keys()),
            "still_refused": check.unreadable or None,
        },
        "exit_code": check.exit_code,
    }
