"""A flow runs no session in a cell whose arm is stopped from a terminal."""

import pytest

from flows import approve


def test_hardware_is_refused_before_anybody_is_asked_with_the_command_for_its_terminal(monkeypatch):
    monkeypatch.setattr(approve, "approve", lambda *_: pytest.fail("somebody was asked"))
    with pytest.raises(
        ValueError, match=r"a flow runs sessions in rehearsal, got 'fr3': .*: ocrrl rollout TASK --cell fr3"
    ):
        approve.approved_sessions("rollout", "fr3", None, 1, 1.0)
