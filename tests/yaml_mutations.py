"""Damage to a YAML file as people, editors and attackers do it: seeded, of its values and of its text."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import yaml

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, -1e300, 1e300, 5e-324, 10**30, -(10**400), 2**63, 16**5000),
    *(float("inf"), float("-inf"), float("nan"), "", "text", "1e-4", "1e2", "20", "nan", "inf", "\x1b[31m", "ä⊕", "a\nb", "\0"),
    *([], [1], ["a", 1], [[[]]], [None] * 50, {}, {"a": 1}, {1: 2}, {None: None}, {"a": {"b": {"c": []}}}),
)  # fmt: skip
TEXTS = (
    *("*", "&a", ": ", "- ", "{", "}", "[", "]", "'", '"', "\t", "\0", "!!python/name:os.system ", "%", "?", "|", "\ud7ff", "<<: "),
    *("9" * 5000, "[" * 2000, "2026-02-31", "1:2:3", ".inf", ".nan", "0x" + "f" * 5000, "\r", "\u2028", "~", "&a [*a]"),
)  # fmt: skip


def mutations(text: str, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` damaged versions of the YAML `text`, pairs of what was done and the file's content."""
    chosen = random.Random(seed)
    content = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    kinds = (_value, _value, _value, _key, _moved, _line, _text, _bytes, _bomb)
    for _ in range(count):
        kind = chosen.choice(kinds)
        yield kind(copy.deepcopy(content) if kind in (_value, _key, _moved) else text, chosen)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _dumped(content: Any) -> bytes:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
    """Whole numbers of any size, large ones in hexadecimal, of which Python writes the digits."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_whole(self, data: int) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:int", hex(data) if abs(data) > 10**200 else str(data))


_Dumper.add_representer(int, _Dumper.represent_whole)


def _value(content: Any, chosen: random.Random) -> tuple[str, bytes]:
    holder, key = chosen.choice(list(_places(content)))
    number = chosen.randrange(len(VALUES))
    holder[key] = copy.deepcopy(VALUES[number])
    return f"value {number} at {key}", _dumped(content)


def _key(content: Any, chosen: random.Random) -> tuple[str, bytes]:
    holder, key = chosen.choice([place for place in _places(content) if isinstance(place[0], dict)])
    new = chosen.choice((None, 1, True, "", f"{key}s", "\x1b[2J", f"{key} "))
    if chosen.random() < 0.5:
        holder[new] = holder.pop(key)
    else:
        holder[new] = 1
    return f"key {new!r} beside {key}", _dumped(content)


def _moved(content: Any, chosen: random.Random) -> tuple[str, bytes]:
    holder, key = chosen.choice(list(_places(content)))
    other, there = chosen.choice(list(_places(content)))
    holder[key] = copy.deepcopy(other[there])
    return f"{key} is what stood at {there}", _dumped(content)


def _line(text: str, chosen: random.Random) -> tuple[str, bytes]:
    lines = text.splitlines()
    at = chosen.randrange(len(lines))
    what = chosen.choice(("lost", "twice", "indented", "moved"))
    if what == "lost":
        del lines[at]
    elif what == "twice":
        lines.insert(at, lines[at])
    elif what == "indented":
        lines[at] = "  " + lines[at]
    else:
        lines.insert(chosen.randrange(len(lines)), lines.pop(at))
    return f"line {at} {what}", "\n".join(lines).encode()


def _text(text: str, chosen: random.Random) -> tuple[str, bytes]:
    at, piece = chosen.randrange(len(text)), chosen.choice(TEXTS)
    return f"{piece[:20]!r} at character {at}", (text[:at] + piece + text[at:]).encode("utf-8", "surrogatepass")


def _bytes(text: str, chosen: random.Random) -> tuple[str, bytes]:
    content = bytearray(text.encode())
    at = chosen.randrange(len(content))
    if chosen.random() < 0.3:
        return f"cut at byte {at}", bytes(content[:at])
    content[at] ^= 1 << chosen.randrange(8)
    return f"bit flipped in byte {at}", bytes(content)


def _bomb(text: str, chosen: random.Random) -> tuple[str, bytes]:
    """Aliases of aliases before the file, the last of them at one of its values."""
    levels, width = chosen.randrange(3, 30), chosen.randrange(2, 12)
    head = ["_a0: &a0 [x]"] + [f"_a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    lines = text.splitlines()
    scalar = [n for n, line in enumerate(lines) if ": " in line and not line.startswith("#")]
    at = chosen.choice(scalar)
    lines[at] = lines[at].split(": ")[0] + f": *a{levels - 1}"
    return f"{levels} levels of {width} aliases in line {at}", "\n".join([*head, *lines]).encode()
