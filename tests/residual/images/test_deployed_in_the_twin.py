"""A residual of images acts in the twin through the control loop, beside a VLA with images of another size."""

import numpy as np
import pytest

from ocrrl.layout import Layout
from ocrrl.policies.checkpoint import load_policy
from ocrrl.residual.residual_policy import load_residual
from ocrrl.rollouts.evaluate import evaluate_pair
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.worlds import make_twin
from tests.untrained_models import write_untrained_image_residual, write_untrained_models


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = Layout("cube_lift")
    write_untrained_models(layout)
    write_untrained_image_residual(layout, {"front": (84, 84), "wrist": (84, 84)})
    return layout


def test_the_twin_gives_it_images_at_its_own_size(models, monkeypatch):
    cell, residual = make_twin("cube_lift", 1), load_residual(models.residual(0), CUBE_LIFT)
    base = load_policy(models.vla("real"), CUBE_LIFT.instruction, 1)
    taken = []
    capture_at = cell.capture_at
    monkeypatch.setattr(cell, "capture_at", lambda *a: taken.append(capture_at(*a)) or taken[-1])
    evaluation = evaluate_pair(cell, base, residual, [7])
    (outcome,) = evaluation.residual
    assert len(taken) == outcome.steps == len(outcome.trace.residuals)
    assert all(image.shape == (1, 84, 84, 3) for images in taken for image in images.values())
    assert len(np.unique(outcome.trace.residuals, axis=0)) > 10
