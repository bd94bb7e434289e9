"""Why an episode ended early, and who ended it."""

from dataclasses import dataclass
from typing import Literal

AbortedBy = Literal["operator", "arm", "fault"]
"""`operator`: who stopped it, or said that it failed. `arm`: stopped by what it was made to do, as in a reflex, or because its
commands ran out or were refused. `fault`: a camera, the tracker, the hand, the arm's connection, its clock or
the operator's terminal failed, which says nothing of the policy."""


@dataclass(frozen=True)
class Abort:
    """What ended an episode."""

    by: AbortedBy
    why: str
