"""One draw of noise for all robots of a batch, so that a policy that samples is a function of what each robot sees."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_BY_SIZE = {
    torch.ops.aten.randn.default,
    torch.ops.aten.randn.generator,
    torch.ops.aten.rand.default,
    torch.ops.aten.rand.generator,
}
_NORMAL_BY_SIZE = torch.ops.aten.normal.float_float
_LIKE = {torch.ops.aten.randn_like.default, torch.ops.aten.rand_like.default}
_OFF_IN_EVALUATION = re.compile("attention|dropout")  # tagged as random, which `eval()` ends
_IN_PLACE = {torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default, torch.ops.aten.exponential_.default}


class SharedNoise(TorchDispatchMode):
    """Within, a random tensor whose first axis is the batch of `rows` robots is drawn for one robot and repeated.

    A robot then gets the same chunk in any row of a batch of any size (up to rounding), as residual training in 16 simulators and
    deployment on one arm need. Flow matching and diffusion draw such tensors; ValueError for another kind of draw, which would
    differ between rows.
    """

    def __init__(self, rows: int):
        super().__init__()
        self._rows = rows

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags or _OFF_IN_EVALUATION.search(str(func)):
            return func(*args, **kwargs)
        if func in _BY_SIZE and self._of_batch(args[0]):
            return self._repeated(func([1, *args[0][1:]], *args[1:], **kwargs))
        if func is _NORMAL_BY_SIZE and self._of_batch(args[2]):
            return self._repeated(func(*args[:2], [1, *args[2][1:]], *args[3:], **kwargs))
        if func in _LIKE and self._of_batch(args[0].shape):
            return self._repeated(func(args[0][:1], *args[1:], **kwargs))
        if func in _IN_PLACE and self._of_batch(args[0].shape):
            one = torch.empty_like(args[0][:1], memory_format=torch.contiguous_format)
            return args[0].copy_(func(one, *args[1:], **kwargs))
        drawn = func(*args, **kwargs)
        if self._rows > 1 and isinstance(drawn, torch.Tensor) and self._of_batch(drawn.shape):
            raise ValueError(
                f"a policy must draw its noise by randn, rand, normal or uniform, got {func}: rows would differ"
            )
        return drawn

    def _of_batch(self, shape: Any) -> bool:
        return len(shape) > 0 and shape[0] == self._rows

    def _repeated(self, one: torch.Tensor) -> torch.Tensor:
        return one.repeat(self._rows, *[1] * (one.dim() - 1))
