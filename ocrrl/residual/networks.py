"""Network of actor and critics: two hidden layers with LayerNorm and ReLU, with an explicit gradient.

Legend: B samples, I inputs, H hidden units, O outputs; weights are (inputs, outputs), biases (outputs,).

Four fifths of residual training are updates of such networks, and in a network this small autograd's bookkeeping costs
half as much as the arithmetic; hence `backward`, which tests hold to autograd. LayerNorm has no learned gain (the layer
after it has one); without it the actor's tanh saturates within the first updates (docs/paper_differences.md).
"""

import torch
from jaxtyping import Float
from torch import Tensor

LAYER_NORM_EPSILON = 1e-5


class Network:
    """A perceptron (B, I) -> (B, O) whose parameters, and their gradients, are views of two flat vectors."""

    def __init__(
        self, inputs: int, hidden: int, outputs: int, layer_norm: bool, flat: Tensor, gradient: Tensor
    ) -> None:
        """`flat` and `gradient` hold `parameter_count(inputs, hidden, outputs)` numbers each."""
        self.layer_norm = layer_norm
        self.parameters = _views(flat, inputs, hidden, outputs)
        self.gradients = _views(gradient, inputs, hidden, outputs)
        self._gain = torch.ones(
            hidden, device=flat.device
        )  # torch's kernel is three times as fast with a gain as without
        self._shift = torch.zeros(hidden, device=flat.device)
        self._seen: tuple[Tensor, ...] = ()

    def initialise(self, generator: torch.Generator, final_gain: float = 1.0) -> None:
        """Uniform within 1/sqrt(fan-in) as `torch.nn.Linear` does it, the last layer `final_gain` times that."""
        for i in range(3):
            weight, bias = self.parameters[2 * i], self.parameters[2 * i + 1]
            bound = weight.shape[0] ** -0.5 * (final_gain if i == 2 else 1.0)
            for parameter in (weight, bias):
                parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))

    def forward(self, x: Float[Tensor, "B I"], remember: bool = False) -> Float[Tensor, "B O"]:
        """The outputs; with `remember`, what `backward` needs is kept."""
        w0, b0, w1, b1, w2, b2 = self.parameters
        a0, h0, *moments0 = self._activate(torch.addmm(b0, x, w0))
        a1, h1, *moments1 = self._activate(torch.addmm(b1, h0, w1))
        if remember:
            self._seen = (x, a0, h0, *moments0, a1, h1, *moments1)
        return torch.addmm(b2, h1, w2)

    def backward(self, grad: Float[Tensor, "B O"]) -> None:
        """Gradients of the loss with respect to all parameters, given the one with respect to the last outputs."""
        x, a0, h0, mean0, scale0, a1, h1, mean1, scale1 = self._seen
        gw0, gb0, gw1, gb1, gw2, gb2 = self.gradients
        torch.mm(h1.t(), grad, out=gw2)
        torch.sum(grad, 0, out=gb2)
        grad = self._through_activation(grad @ self.parameters[4].t(), a1, h1, mean1, scale1)
        torch.mm(h0.t(), grad, out=gw1)
        torch.sum(grad, 0, out=gb1)
        grad = self._through_activation(grad @ self.parameters[2].t(), a0, h0, mean0, scale0)
        torch.mm(x.t(), grad, out=gw0)
        torch.sum(grad, 0, out=gb0)

    def input_gradient(self, grad: Float[Tensor, "B O"], first: int) -> Float[Tensor, "B rest"]:
        """Gradient with respect to the inputs from column `first` on, the last I - first; the parameters' are left alone."""
        _, a0, h0, mean0, scale0, a1, h1, mean1, scale1 = self._seen
        grad = self._through_activation(grad @ self.parameters[4].t(), a1, h1, mean1, scale1)
        grad = self._through_activation(grad @ self.parameters[2].t(), a0, h0, mean0, scale0)
        return grad @ self.parameters[0][first:].t()

    def _activate(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The pre-activation itself, ReLU(LayerNorm(a)), and LayerNorm's mean and reciprocal standard deviation."""
        if not self.layer_norm:
            return a, torch.relu(a), self._shift, self._gain
        normal, mean, scale = torch.native_layer_norm(a, self._gain.shape, self._gain, self._shift, LAYER_NORM_EPSILON)
        return a, torch.relu_(normal), mean, scale

    def _through_activation(self, grad: Tensor, a: Tensor, h: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        grad = torch.ops.aten.threshold_backward(grad, h, 0)
        if not self.layer_norm:
            return grad
        return torch.ops.aten.native_layer_norm_backward(
            grad, a, self._gain.shape, mean, scale, self._gain, self._shift, [True, False, False]
        )[0]


def parameter_count(inputs: int, hidden: int, outputs: int) -> int:
    """How many numbers a `Network` of this size has."""
    return sum(rows * columns for rows, columns in _shapes(inputs, hidden, outputs))


def learned(count: int, learning_rate: float, device: torch.device) -> tuple[Tensor, Tensor, torch.optim.Adam]:
    """A vector of `count` parameters, the vector that its gradient is written to, and its Adam.

    A step of zero gradient allocates Adam's moments, so that they can be saved and restored at any time.
    """
    parameter = torch.nn.Parameter(torch.zeros(count, device=device), requires_grad=False)
    gradient = parameter.grad = torch.zeros_like(parameter)
    adam = torch.optim.Adam([parameter], lr=learning_rate, fused=True, capturable=device.type == "cuda")
    adam.step()
    adam.state[parameter]["step"].zero_()
    return parameter, gradient, adam


def _shapes(inputs: int, hidden: int, outputs: int) -> list[tuple[int, int]]:
    return [(inputs, hidden), (1, hidden), (hidden, hidden), (1, hidden), (hidden, outputs), (1, outputs)]


def _views(flat: Tensor, inputs: int, hidden: int, outputs: int) -> list[Tensor]:
    """Weight and bias of each layer in turn."""
    shapes = _shapes(inputs, hidden, outputs)
    parts = flat.split([rows * columns for rows, columns in shapes])
    return [
        part if rows == 1 else part.view(rows, columns) for part, (rows, columns) in zip(parts, shapes, strict=True)
    ]
