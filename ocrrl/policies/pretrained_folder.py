"""The folder of pretrained weights: a local one, or the Hugging Face hub's cache after a download."""

import re
from pathlib import Path

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")
_FETCHED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_CODE = ("*.py",)


def pretrained_folder(name: object, revision: str | None = None, allow_remote_code: bool = False) -> Path:
    """The folder that `policy.pretrained_path` means; files that can run as code are fetched only if that is allowed.

    Raises ValueError for what is no text, FileNotFoundError where neither this machine nor the hub has it.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"policy.pretrained_path must be a folder or a name on the Hugging Face hub, got {name!r}")
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not _HUB_NAME.fullmatch(name):
        raise FileNotFoundError(
            f"policy.pretrained_path must be the folder of a checkpoint, or ORG/NAME on the Hugging Face hub, got {name!r}, "
            f"which is {'a file' if folder.exists() else 'not there'}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    patterns = [*_FETCHED, *(_CODE if allow_remote_code else ())]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (EntryNotFoundError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled) as error:
        why = " ".join(str(error).split())[:200]
        raise FileNotFoundError(
            f"policy.pretrained_path must be the folder of a checkpoint, or ORG/NAME on the Hugging Face hub, got {name!r}: no "
            f"such folder here, and the hub says: {why}"
        ) from error
