import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError

import ocrrl.robot.arm.arm
from ocrrl.interface.protocols import StepResult
from ocrrl.perception.tracking.fitting.compiled import FILES
from ocrrl.residual.n_step_returns import potential
from tests.checked_shapes import CALLS, checked_modules


def test_a_parameter_of_another_shape_or_type_is_refused():
    with pytest.raises(TypeCheckError, match=r"n_step_returns\.potential"):
        potential(np.zeros(3), np.zeros(2, bool))
    with pytest.raises(TypeCheckError, match=r"n_step_returns\.potential"):
        potential(np.zeros(3), np.zeros(3))


def test_a_dataclass_is_refused_whose_fields_disagree():
    with pytest.raises(TypeCheckError, match="StepResult"):
        StepResult(reward=np.zeros(2), success=np.zeros(3, bool))


@pytest.mark.wrong_shapes
def test_a_marked_test_may_pass_a_wrong_shape():
    assert potential(np.zeros(3), np.zeros(1, bool)).shape == (3,)


def test_only_the_first_calls_in_a_test_are_checked():
    for _ in range(CALLS):
        potential(np.zeros(3), np.zeros(3, bool))
    assert potential(np.zeros(3), np.zeros(1, bool)).shape == (3,)


def test_every_module_with_shapes_is_checked_but_the_compiled_ones():
    names = checked_modules()
    assert ocrrl.robot.arm.arm.__name__ in names and "ocrrl.residual.td3" in names
    assert not {f"ocrrl.perception.tracking.fitting.{name}" for name in FILES} & set(names)
    loaded = [sys.modules[name] for name in names if name in sys.modules]
    assert loaded and all(type(module.__loader__).__name__ == "_JaxtypingLoader" for module in loaded)
