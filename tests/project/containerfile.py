"""The steps of the repository's Containerfile."""

import shlex

from tests.pipeline_copy import ROOT

TEXT = (ROOT / "Containerfile").read_text()
STEPS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
"""Instruction and its words."""


def steps(instruction: str) -> list[str]:
    return [words for name, words in STEPS if name == instruction]


def command(begin: str) -> list[str]:
    """The words of the RUN step that begins so."""
    (found,) = [words for words in steps("RUN") if words.startswith(begin)]
    return shlex.split(found)
