"""The derivative of `interface.actions.compose` with respect to the residual, in closed form.

Legend: b, r rotation vectors [rad] of the residual and of the composed action before the limit; J_l, J_r the left and
right Jacobians of SO(3) (Sola et al. 2018, "A micro Lie theory", eq. 143-147). exp(b + db) = exp(b) exp(J_r(b) db), so
dr = J_r^-1(r) J_r(b) db, and a gradient g with respect to r becomes J_l(b) J_l^-1(r) g with respect to b. The
coefficients are series, exact to 1e-5 below 1 rad (an action turns 0.1). Autograd's pass through some seventy small
operations took a tenth of an update; tests hold this to autograd.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.interface import rotations
from ocrrl.interface.actions import MAX_ROTATION_STEP, MAX_TRANSLATION_STEP


def composition_gradient(
    base_action: Float[Tensor, "B 7"], residual: Float[Tensor, "B 7"], grad: Float[Tensor, "B 7"]
) -> Float[Tensor, "B 7"]:
    """Gradient with respect to `residual`, given the one `grad` with respect to `compose(base_action, residual)`."""
    total = base_action + residual
    out = grad.clone()
    out[:, :3] = torch.where(total[:, :3].abs() <= MAX_TRANSLATION_STEP, grad[:, :3], 0.0)
    out[:, 6] = torch.where((total[:, 6] >= 0.0) & (total[:, 6] <= 1.0), grad[:, 6], 0.0)

    b = residual[:, 3:6]
    r = rotations.to_rotation_vector(
        rotations.multiply(rotations.from_rotation_vector(base_action[:, 3:6]), rotations.from_rotation_vector(b))
    )
    g = _through_length_limit(r, grad[:, 3:6])
    out[:, 3:6] = _left_jacobian(b, _inverse_left_jacobian(r, g))
    return out


def _through_length_limit(r: Tensor, g: Tensor) -> Tensor:
    """Gradient before a vector is shortened to `MAX_ROTATION_STEP`: only its direction passes where it was."""
    length = torch.linalg.vector_norm(r, dim=1, keepdim=True).clamp_min(1e-9)
    along = (r * g).sum(1, keepdim=True) / length.square()
    return torch.where(length > MAX_ROTATION_STEP, (g - along * r) * (MAX_ROTATION_STEP / length), g)


def _left_jacobian(v: Tensor, g: Tensor) -> Tensor:
    """J_l(v) g = g + (1 - cos t)/t^2 v x g + (t - sin t)/t^3 v x (v x g), by series in t^2."""
    t2 = v.square().sum(1, keepdim=True)
    once = torch.linalg.cross(v, g)
    twice = torch.linalg.cross(v, once)
    return g + (1 / 2 - t2 * (1 / 24 - t2 / 720)) * once + (1 / 6 - t2 * (1 / 120 - t2 / 5040)) * twice


def _inverse_left_jacobian(v: Tensor, g: Tensor) -> Tensor:
    """J_l^-1(v) g = g - 1/2 v x g + (1/t^2 - (1 + cos t)/(2 t sin t)) v x (v x g), by series in t^2."""
    t2 = v.square().sum(1, keepdim=True)
    once = torch.linalg.cross(v, g)
    twice = torch.linalg.cross(v, once)
    return g - 0.5 * once + (1 / 12 + t2 * (1 / 720 + t2 / 30240)) * twice
