"""Keeps glibc from returning freed memory to the system between two updates.

An update frees and asks again for some twenty blocks of 256 KB. Where the heap happens to end near them, glibc returns
them each time and every write is then a page fault: updates took three times as long in one run out of a few.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Raise this process's trim and mmap thresholds to 1 GiB; False where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
