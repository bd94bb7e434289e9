"""Checks a model's folder before any library opens it: no code, no pickles, no links out of it.

Model libraries run what a folder tells them to: a pickle runs code when it is read, and `auto_map` in a JSON file names a
class in a .py file beside it, or in a repository elsewhere, which transformers imports.
"""

import os
import re
import stat
from pathlib import Path
from typing import Any

from ocrrl.interface.json_file import read_json
from ocrrl.interface.weights_file import read_weights_file

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill")
CODE = (".py", ".pyc", ".pyo", ".pyd", ".so", ".dll", ".dylib")
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors")
REMOTE_CODE = (
    "allow_remote_code: true in the `policy` section of params.yaml, or --allow-remote-code of a command that has it, lets the "
    "folder's own Python code run"
)
_MAX_ENTRIES = 10_000
_DVC_OBJECT = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")  # a file of a DVC cache, by its content's hash


def require_model_folder(folder: Path, allow_remote_code: bool = False) -> None:
    """Look through all of `folder`: names, links, every JSON file, the header of every safetensors file.

    Raises FileNotFoundError where there is no folder; ValueError naming the entry for code (unless `allow_remote_code`), a
    pickle, an adapter, a link that leaves the folder, a pipe or device, and for files that are cut or Git LFS pointers.
    A link into the Hugging Face hub's cache of the same model, or into a DVC cache, is how these keep their files.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} must be the folder of a model, got {'a file' if folder.exists() else 'nothing'}"
        )
    for path in _entries(folder):
        suffix = path.suffix.lower()
        if path.name in ADAPTERS:
            raise ValueError(
                f"{path} must not be in a model's folder: an adapter (LoRA) holds no model of its own; merge it into its base "
                "model with peft's merge_and_unload(), save that, and give its folder"
            )
        if suffix in CODE and not allow_remote_code:
            raise ValueError(f"{path} must not be in a model's folder, got a file that can run as code; {REMOTE_CODE}")
        if suffix in PICKLES:
            raise ValueError(
                f"{path} must not be in a model's folder: reading a {suffix} file can run code; keep weights as .safetensors"
            )
        if suffix == ".json":
            content = read_json(path, strict=False)
            where = "" if allow_remote_code else _auto_map(content)
            if where:
                raise ValueError(f"{path} must not hold {where}, which names Python code to run; {REMOTE_CODE}")
            if path.name.endswith(".safetensors.index.json"):
                _require_shards(path, content)
        elif suffix == ".safetensors":
            read_weights_file(path)


def _entries(folder: Path) -> list[Path]:
    """The files of `folder` and below, sorted; links in it are looked at, not followed into other folders; git's own are left out."""
    inside, found = _homes(folder), []
    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if name != ".git"]
        for name in [*folders, *names]:
            path = Path(parent, name)
            target = _target(path) if path.is_symlink() else None
            if (
                target
                and not _DVC_OBJECT.search(str(target))
                and not any(target.is_relative_to(home) for home in inside)
            ):
                raise ValueError(f"{path} must not be a link out of the model's folder, got one to {target}")
            if path.is_symlink() and path.is_dir():
                raise ValueError(f"{path} must be a folder itself, got a link to one")
        for name in names:
            path = Path(parent, name)
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                raise ValueError(f"{path} must be a regular file, got a pipe, socket or device")
            found.append(path)
        if len(found) > _MAX_ENTRIES:
            raise ValueError(f"{folder} must be the folder of one model, got more than {_MAX_ENTRIES} files")
    return sorted(found)


def _target(link: Path) -> Path:
    try:
        return link.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise ValueError(f"{link} must lead to a file, got {error}") from error


def _homes(folder: Path) -> list[Path]:
    """Where links of `folder` may lead: into itself, or the hub cache's blobs of the same model.

    The hub's layout is models--ORG--NAME/{blobs, snapshots/REVISION}.
    """
    real = folder.resolve()
    repository = real.parent.parent
    in_hub = real.parent.name == "snapshots" and repository.name.startswith("models--")
    return [real, repository / "blobs"] if in_hub else [real]


def _auto_map(value: Any) -> str:
    """The path of the first `auto_map` within a JSON value; empty where there is none."""
    waiting = [("", value)]
    while waiting:
        where, current = waiting.pop()
        items = (
            current.items() if isinstance(current, dict) else enumerate(current) if isinstance(current, list) else ()
        )
        for key, item in items:
            if key == "auto_map" and item:
                return f"{where}auto_map"
            waiting.append((f"{where}{key}.", item))
    return ""


def _require_shards(index: Path, content: Any) -> None:
    """The index of a sharded model names files beside it, and each holds the tensors that it should."""
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise ValueError(f"{index}: weight_map must map tensors to files, got {shards!r}")
    held: dict[str, set[str]] = {}
    for tensor, name in shards.items():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{index}: weight_map.{tensor} must name a .safetensors file beside it, got {name!r}")
        if name not in held:
            held[name] = set(read_weights_file(index.with_name(name)).tensors)
        if tensor not in held[name]:
            raise ValueError(
                f"{index.with_name(name)} must hold the tensor {tensor}, as {index.name} says, got none such"
            )


def _unreadable(error: OSError) -> None:
    raise ValueError(f"{error.filename} must be readable by this user, got: {error.strerror}") from error
