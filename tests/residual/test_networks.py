"""Gradients written out against autograd, and the actor's first residuals."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ocrrl.interface.actions import compose
from ocrrl.residual.composition_gradient import composition_gradient
from ocrrl.residual.networks import Network, parameter_count
from ocrrl.residual.residual_config import ResidualConfig, in_action_units
from ocrrl.residual.residual_policy import ResidualPolicy
from ocrrl.residual.td3 import TD3

INPUTS, HIDDEN, OUTPUTS = 5, 16, 3


def network(layer_norm: bool) -> Network:
    flat, gradient = torch.zeros(2, parameter_count(INPUTS, HIDDEN, OUTPUTS), dtype=torch.float64)
    made = Network(INPUTS, HIDDEN, OUTPUTS, layer_norm, flat, gradient)
    made._gain, made._shift = made._gain.double(), made._shift.double()
    made.initialise(torch.Generator().manual_seed(0))
    return made


def reference(x, parameters, layer_norm):
    w0, b0, w1, b1, w2, b2 = parameters
    for w, b in ((w0, b0), (w1, b1)):
        x = x @ w + b
        x = torch.relu(functional.layer_norm(x, (HIDDEN,)) if layer_norm else x)
    return x @ w2 + b2


@pytest.mark.parametrize("layer_norm", [True, False])
def test_gradients_are_autograd_s(layer_norm):
    made = network(layer_norm)
    random = torch.Generator().manual_seed(1)
    x = torch.randn(8, INPUTS, generator=random, dtype=torch.float64).requires_grad_()
    grad = torch.randn(8, OUTPUTS, generator=random, dtype=torch.float64)
    parameters = [p.clone().requires_grad_() for p in made.parameters]
    expected = reference(x, parameters, layer_norm)
    torch.testing.assert_close(made.forward(x.detach(), remember=True), expected.detach())

    wanted = torch.autograd.grad(expected, [x, *parameters], grad)
    torch.testing.assert_close(made.input_gradient(grad, first=2), wanted[0][:, 2:])
    made.backward(grad)
    for got, want in zip(made.gradients, wanted[1:], strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("size", [0.1, 1.0, 3.0])
def test_composition_gradient_is_autograd_s(size):
    """Below, around and beyond the step limits; the residual's translation, rotation and gripper together."""
    random = torch.Generator().manual_seed(2)
    limits = torch.tensor([0.02] * 3 + [0.06] * 3 + [0.5], dtype=torch.float64)
    base = (2 * torch.rand(400, 7, generator=random, dtype=torch.float64) - 1) * limits * size
    base[:, 6] += 0.5
    residual = ((2 * torch.rand(400, 7, generator=random, dtype=torch.float64) - 1) * limits * size).requires_grad_()
    grad = torch.randn(400, 7, generator=random, dtype=torch.float64)
    (expected,) = torch.autograd.grad(compose(base, residual), residual, grad)
    got = composition_gradient(base, residual.detach(), grad)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


def test_composition_gradient_of_no_rotation_is_finite():
    zero, grad = torch.zeros(2, 7), torch.ones(2, 7)
    torch.testing.assert_close(composition_gradient(zero, zero, grad), grad)


@pytest.mark.parametrize("layer_norm", [True, False])
def test_the_residual_starts_near_zero_and_numpy_agrees_with_torch(layer_norm):
    config = ResidualConfig(layer_norm=layer_norm)
    td3 = TD3(34, config, seed=3)
    states = np.random.default_rng(0).standard_normal((64, 34)).astype(np.float32)
    scale = in_action_units(config.residual_scale)
    policy = ResidualPolicy(td3.actor_weights(), scale, layer_norm)
    np.testing.assert_allclose(policy.residual(states), td3.residual(states), atol=1e-6)
    assert np.abs(td3.residual(states) / scale).max() < 0.05

    td3._actor.mul_(3.0)
    td3._actor[-7:].add_(0.5)
    td3._actor_average.copy_(td3._actor)
    policy = ResidualPolicy(td3.actor_weights(), scale, layer_norm)
    np.testing.assert_allclose(policy.residual(states), td3.residual(states), atol=1e-5)
    np.testing.assert_allclose(policy.residual(states)[:1], policy.residual(states[:1]), atol=1e-6)


def test_the_residual_s_scale_is_in_the_action_s_units():
    np.testing.assert_allclose(in_action_units((0.25, 0.2, 1.5)), [0.005] * 3 + [0.02] * 3 + [0.75], rtol=1e-6)
