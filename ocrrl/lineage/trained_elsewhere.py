"""The VLAs of a lineage that were trained outside of the project: on which export, and of which dataset that was made.

`imported.json` (`ocrrl.policies.imported_vla`) says it. In a tree two steps stand for it, which no stage of dvc.yaml is: the
import, which read the exported dataset, and the export, which read a dataset of the project.
"""

import json
from dataclasses import dataclass

from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.dvc_files import TrackedPath
from ocrrl.lineage.reading.hashes import is_folder_hash

IMPORTED = "imported VLA"
EXPORTED = "exported dataset"
_FILE = "imported.json"


@dataclass(frozen=True)
class TrainedElsewhere:
    """Of one imported VLA."""

    imported: TrackedPath
    checkpoint: str
    kind: str
    export: TrackedPath
    source: TrackedPath

    @property
    def import_address(self) -> str:
        """Stands for a stage's address."""
        return f"import-vla {self.imported.path}"

    @property
    def import_command(self) -> str:
        where = "" if self.kind == "lerobot" else " (not opened here: behind a policy server)"
        return f"ocrrl import-vla {self.checkpoint} --trained-on {self.export.path}{where}"

    @property
    def export_address(self) -> str:
        return f"export {self.export.path}"

    @property
    def export_command(self) -> str:
        return f"ocrrl export {self.source.path} --out {self.export.path}"


def trained_elsewhere(folder: TrackedPath, contents: Contents) -> TrainedElsewhere | None:
    """What imported.json in `folder` says; None where there is none, or it is not here."""
    manifest = contents.manifest(folder.path, folder.hash) if is_folder_hash(folder.hash) else None
    value = (manifest or {}).get(_FILE)
    text = contents.read(f"{folder.path}/{_FILE}", value) if value else None
    try:
        content = None if text is None else json.loads(text)
    except ValueError:
        return None
    names = ("checkpoint", "kind", "export", "export_hash", "source", "source_hash")
    if not isinstance(content, dict) or not all(isinstance(content.get(name), str) for name in names):
        return None
    return TrainedElsewhere(
        folder,
        content["checkpoint"],
        content["kind"],
        TrackedPath(content["export"], content["export_hash"]),
        TrackedPath(content["source"], content["source_hash"]),
    )
