"""Brings a project up to the installed package: code.yaml, and the files that came with the package."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ocrrl import files
from ocrrl.code_units import CODE_FILE
from ocrrl.lineage.reading.hashes import file_md5
from ocrrl.project.code_file import CodeFile, changed_units, installed_code, project_files, read_code_file


@dataclass(frozen=True)
class Upgrade:
    """What a project lacks of the installed package."""

    steps: list[str]
    """What is done, a line each."""
    write: Mapping[str, bytes]
    """Content by path."""
    remove: list[str]
    code: CodeFile

    def apply(self, project: Path = Path()) -> None:
        """Write and remove files; code.yaml, which knows the files that nobody changed, comes last: it may be interrupted."""
        for name, content in self.write.items():
            files.write_bytes(project / name, content)
        for name in self.remove:
            (project / name).unlink(missing_ok=True)
        files.write_bytes(project / CODE_FILE, self.code.text().encode())


def upgrade_of(project: Path = Path()) -> Upgrade | None:
    """What `project` lacks of the installed package; None for nothing. Files that the user changed or removed stay so.

    ValueError as from `read_code_file`.
    """
    recorded, now, offered = read_code_file(project), installed_code(), project_files()
    if recorded == now:
        return None
    steps, write = [], {}
    for name, content in offered.items():
        came, here = recorded.files.get(name), _md5(project / name)
        if here == now.files[name] or (here is None and came is not None):
            continue
        if here in (None, came):
            write[name] = content
            steps.append(f"{name}: as it comes with ocrrl {now.version}")
        elif came != now.files[name]:
            steps.append(
                f"{name}: stays, since it was changed here; `ocrrl init` of a new folder has that of ocrrl {now.version}"
            )
    gone = [name for name, came in recorded.files.items() if name not in offered and _md5(project / name) == came]
    steps += [f"{name}: removed, ocrrl {now.version} has none" for name in gone]
    if changed := changed_units(recorded.units, now.units):
        steps.append(f"{CODE_FILE}: {changed}; stages that depend on them run again")
    return Upgrade(steps or [f"{CODE_FILE}: of ocrrl {now.version}"], write, gone, now)


def _md5(path: Path) -> str | None:
    return file_md5(path) if path.is_file() else None
