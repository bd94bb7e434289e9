"""The VLAs of a lineage that are on a policy server: what of them is on record, and that their weights are not."""

from dataclasses import dataclass

from ocrrl.lineage.datasets import MODELS, read_json_in
from ocrrl.lineage.graph import Tree
from ocrrl.lineage.reading.contents import Contents

VLA_FILE = "vla.json"


@dataclass(frozen=True)
class RemoteModel:
    """As `ocrrl finetune` found it and wrote it to vla.json."""

    protocol: str
    version: str
    address: str
    """Or `env:NAME`, the variable that holds it on a machine."""
    identity: str
    """What the server told of the model: a checkpoint's fingerprint, or that of its metadata."""

    @property
    def said(self) -> str:
        """In words, without the path."""
        return (
            f"a remote model ({self.identity}, at {self.address}, {self.protocol} {self.version}): its weights are on the server, "
            "not in this project, and its identity is what the server told of itself"
        )


def remote_models(tree: Tree, contents: Contents) -> dict[str, RemoteModel]:
    """By path, in the order of the tree."""
    found = {}
    for artifact in tree.artifacts.values():
        content = read_json_in(contents, artifact, VLA_FILE) if artifact.kind in MODELS else None
        if isinstance(content, dict):
            fields = (str(content.get(name)) for name in ("protocol", "version", "address", "identity"))
            found[artifact.path] = RemoteModel(*fields)
    return found
