"""One folder of recordings with something wrong or unusual in it, and what ingest must make of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.motion import CAMERAS, Motion, make_motion


@dataclass
class Case:
    """What `ingest` is given, and what must come of it; recordings are named by a part of their origin."""

    source_format: str
    mapping: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    """Further keys of the ingest section."""
    refused: dict[str, str] = field(default_factory=dict)
    """Origin to a pattern of the field that the refusal must name."""
    files: dict[str, str] = field(default_factory=dict)
    """Origin to a pattern of the file that must be named, where the origin does not hold it."""
    read: dict[str, Motion] = field(default_factory=dict)
    """Origin to the motion that must come out equal, rows and frames."""
    either: dict[str, tuple[str, Motion]] = field(default_factory=dict)
    """Origin to what must be named if it is refused, and what must come out if it is not."""
    left_out: tuple[str, ...] = ()
    """Origins that are said and not asked for."""
    cameras: tuple[str, ...] = CAMERAS
    """Those whose frames are held against the motions'."""
    remedy: str = ""
    """A key that the refusal must give a line for, with which the recording must be read right."""
    remedied: dict[str, Motion] = field(default_factory=dict)
    """What must come out with it."""


@dataclass
class Draw:
    """What a kind draws from: a generator, and motions of its own."""

    folder: Path
    generator: np.random.Generator
    made: list[Motion] = field(default_factory=list)

    def motion(self, **options: Any) -> Motion:
        """A new motion, its number no other's."""
        self.made.append(make_motion(self.generator, len(self.made) + 1, **options))
        return self.made[-1]

    def motions(self, count: int, **options: Any) -> list[Motion]:
        """New motions."""
        return [self.motion(**options) for _ in range(count)]

    def one_of[T](self, *choices: T) -> T:
        """One of `choices`."""
        return choices[self.generator.integers(len(choices))]


@dataclass(frozen=True)
class Kind:
    """A kind of trouble; `make` writes one member of it."""

    name: str
    make: Callable[[Draw], Case]
    sound: Callable[[Draw], Case] | None = None
    """Writes what looks much like it and is sound."""
