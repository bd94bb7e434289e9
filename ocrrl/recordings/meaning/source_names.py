"""What recordings are called in datasets and reports: names that are file names, one for each, in any script."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

_DIGITS = 8  # of the hash that tells apart what the replacement makes equal
_LONGEST = 150  # characters; a file name may have 255 bytes, and callers append to these


def distinct_names(originals: Sequence[str]) -> list[str]:
    """A file name's stem for each of `originals` (relative paths or titles, each given once), in their order.

    `/` becomes `__`, and what is not a letter, digit, `_`, `.` or `-` of ASCII becomes `_`. Where two come out equal,
    those that were changed get a hash of their original, so that a name does not depend on the others' order; so does
    one that is too long. Raises ValueError for an original that is given twice.
    """
    if doubled := [original for original, times in Counter(originals).items() if times > 1]:
        raise ValueError(f"originals must be given once each, got {', '.join(map(repr, doubled))} twice")
    clean = [_clean(original) for original in originals]
    times = Counter(clean)
    names = [
        name if name == original or times[name] == 1 else _hashed(name, original)
        for original, name in zip(originals, clean, strict=True)
    ]
    times = Counter(names)  # an original may itself look like another's name with its hash
    return [
        name if times[name] == 1 else _hashed(name, original) for original, name in zip(originals, names, strict=True)
    ]


def _clean(original: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", original.replace("/", "__"))
    return name if len(name) <= _LONGEST else _hashed(name[:_LONGEST], original)


def _hashed(name: str, original: str) -> str:
    return f"{name}-{hashlib.sha256(original.encode('utf-8', 'surrogateescape')).hexdigest()[:_DIGITS]}"
