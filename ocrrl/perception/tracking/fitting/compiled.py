"""The decorator of the compiled functions. Their cache is dropped when any of the files that hold them was changed.

numba's own cache only notices a change in a function's file, not in the files of the functions that it calls: after an
update of `signed_distance.py` alone, `render_and_compare.py` would go on with the old distances.
"""

from contextlib import suppress
from pathlib import Path

from numba import njit

FILES = ("gauss_newton", "pixels", "render_and_compare", "robot_mask", "signed_distance", "table_plane")
_FOLDER = Path(__file__).parent

compiled = njit(cache=True)


def drop_stale(folder: Path = _FOLDER) -> None:
    """Remove the indices of the cache that are older than any of `FILES` in `folder`."""
    changed = max((folder / f"{name}.py").stat().st_mtime for name in FILES)
    for index in (folder / "__pycache__").glob("*.nbi"):
        with suppress(OSError):  # another process may be at it, or the folder is not ours
            if index.stat().st_mtime < changed:
                index.unlink()


drop_stale()
