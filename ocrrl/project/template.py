"""The files of a new project, from the installed package, or from the checkout that the package lies in.

`setup.py` runs this file for `PATTERNS`, to copy the files into the wheel; so it imports nothing of ours.
"""

from pathlib import Path

PATTERNS = (
    *("dvc.yaml", ".dvcignore", ".gitignore", ".gitattributes", "prefect.toml", "prefect.yaml"),
    *(".dvc/config", ".dvc/.gitignore", ".dvc/plots/*.json", "data/.gitkeep"),
    *("flows/*.py", "tasks/*.py", "cells/*.yaml", "ocrrl/project/Makefile"),
)
"""In a checkout; `flows` and `tasks` are a project's own, which its owner may change."""
IN_WHEEL = Path(__file__).with_name("files")
_CHECKOUT = Path(__file__).parents[2]


def matching(root: Path) -> dict[str, Path]:
    """The files of `PATTERNS` in a checkout at `root`, by their path in a project."""
    found = [path for pattern in PATTERNS for path in root.glob(pattern)]
    return {path.relative_to(root).as_posix().removeprefix("ocrrl/project/"): path for path in found}


def template_files() -> dict[str, bytes]:
    """Content by path in a project; `dvc.yaml` is that of a checkout.

    RuntimeError where the package was installed without them.
    """
    if IN_WHEEL.is_dir():
        paths = {path.relative_to(IN_WHEEL).as_posix(): path for path in IN_WHEEL.rglob("*") if path.is_file()}
    else:
        paths = matching(_CHECKOUT)
    content = {name: paths[name].read_bytes() for name in sorted(paths) if "__pycache__" not in name}
    if "dvc.yaml" not in content:
        raise RuntimeError(
            f"ocrrl must be installed from its wheel or be a checkout, got no files of a project in {IN_WHEEL}; "
            "`pip install --force-reinstall ocrrl` brings them"
        )
    return content
