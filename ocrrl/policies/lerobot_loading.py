"""Loads a LeRobot policy safely: no remote code, limited memory, no silently random weights."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ocrrl.interface.model_folder import REMOTE_CODE
from ocrrl.interface.weights_file import WeightsFile, read_weights_file, some

_GIB = 2**30
_OURS = Path(__file__).parents[1]
_OLD_STATISTICS = re.compile(r"(un)?normalize_(inputs|outputs|targets)\.buffer_")
"""Statistics that LeRobot before 0.4 kept among the weights; a checkpoint's pipelines hold them now."""
_ALLOCATIONS = {  # operators that make a tensor of the size in their first argument
    torch.ops.aten.empty.memory_format,
    torch.ops.aten.empty_strided.default,
    torch.ops.aten.zeros.default,
    torch.ops.aten.ones.default,
    torch.ops.aten.full.default,
    torch.ops.aten.rand.default,
    torch.ops.aten.randn.default,
}


@contextmanager
def remote_code(allowed: bool) -> Iterator[None]:
    """Within, transformers runs no Python file of a model's folder or repository, whatever it is asked, unless `allowed`.

    `get_cached_module_file` is where transformers fetches such a file before it imports it; a question at the terminal, which
    it asks elsewhere, is answered no. Raises ValueError.
    """
    if allowed or find_spec("transformers") is None:
        yield
        return
    from transformers import dynamic_module_utils

    def refuse(name: object, module_file: object, *arguments: object, **keywords: object) -> NoReturn:
        raise ValueError(f"{name} must not bring code to run, got {module_file}; {REMOTE_CODE}")

    fetch, seconds = dynamic_module_utils.get_cached_module_file, dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.get_cached_module_file, dynamic_module_utils.TIME_OUT_REMOTE_CODE = refuse, 0
    try:
        yield
    finally:
        dynamic_module_utils.get_cached_module_file, dynamic_module_utils.TIME_OUT_REMOTE_CODE = fetch, seconds


@contextmanager
def lerobot_errors(where: str) -> Iterator[None]:
    """Errors by which LeRobot and its libraries refuse a file become a ValueError of one line that begins with `where`."""
    from draccus.utils import DraccusException
    from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled
    from lerobot.processor.pipeline import ProcessorMigrationError

    try:
        yield
    except (
        DraccusException,
        EntryNotFoundError,
        OfflineModeIsEnabled,
        ProcessorMigrationError,
        SafetensorError,
    ) as error:
        raise ValueError(f"{where}: {_one_line(error)}") from error
    except ImportError as error:
        raise ValueError(f"{where} must find the packages that its policy needs: {_one_line(error)}") from error
    except OSError as error:  # transformers' word for a tokenizer or backbone that is neither here nor on the hub
        if error.errno is not None:
            raise
        if isinstance(error, URLError):  # torchvision's weights of a fresh ACT or diffusion policy
            raise ValueError(
                f"{where} fetches a backbone's weights from the network, which failed ({_one_line(error)}): "
                "`pretrained_backbone_weights: null` in the `policy` section starts without them"
            ) from error
        raise ValueError(
            f"{where}: {_one_line(error)} Without a network, put the folder there or into the hub's cache ($HF_HOME)"
        ) from error
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        fit = "the weights must fit the configuration: " * str(error).startswith("Error(s) in loading state_dict")
        raise ValueError(f"{where}: {fit}{_one_line(error)}") from error
    except ValueError as error:
        raise ValueError(f"{where}: {_one_line(error)}") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError) as error:
        # What LeRobot and torch say to sizes and names that make no network; an error in our own code goes on as it is.
        if _raised_by_us(error):
            raise
        raise ValueError(f"{where} must make a policy, got {type(error).__name__}: {_one_line(error)}") from error


def load_processors(pipeline: Any, where: str) -> None:
    """Load the tokenizers and image processors that steps load at their first use (GR00T's); ValueError for one that is not there."""
    for step in pipeline.steps:
        with lerobot_errors(f"{where}: tokenizer and image processor {getattr(step, 'model_name', '')}"):
            getattr(step, "proc", None)


def _raised_by_us(error: BaseException) -> bool:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and Path(frame.tb_frame.f_code.co_filename).is_relative_to(_OURS)


def _one_line(error: BaseException) -> str:
    """The error and, where it says more, what it came from; the first 600 characters."""
    parts = [str(error)]
    if error.__cause__ is not None and str(error.__cause__) not in parts[0]:
        parts.append(str(error.__cause__))
    text = " ".join(" ".join(parts).split())
    return text if len(text) <= 600 else f"{text[:597]}..."


def load_weights(folder: Path, make: Callable[[], Any]) -> Any:
    """The policy that `make` opens in `folder`, its weights those of the file there.

    Raises ValueError where the policy would need far more memory than its file holds, and for weights that are NaN, left out
    of the policy, or missing in the file. NVIDIA's own folder of GR00T, in shards, is left to its loader.
    """
    path = folder / "model.safetensors"
    if not path.exists():
        with lerobot_errors(str(folder)):
            return make()
    weights = read_weights_file(path)
    with lerobot_errors(f"{path} with config.json"), _WithinFile(weights):
        policy = make()
    require_loaded(policy, weights)
    return policy


class _WithinFile(TorchDispatchMode):
    """Within, building a policy may not take far more memory than its weights' file has bytes; ValueError before it does."""

    def __init__(self, weights: WeightsFile):
        super().__init__()
        sizes = [4 * (stored.end - stored.begin) for stored in weights.tensors.values()]  # in F64 from BF16, at most
        self._path = weights.path
        self._most, self._most_together = _GIB + max(sizes, default=0), 2 * _GIB + 4 * sum(sizes)
        self._together = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        if func in _ALLOCATIONS and (device is None or torch.device(device).type != "meta"):
            dtype = kwargs.get("dtype") or torch.get_default_dtype()
            size = math.prod(args[0]) * dtype.itemsize
            self._together += size
            if size > self._most or self._together > self._most_together:
                raise ValueError(
                    f"config.json asks for {max(size, self._together) / 1e9:.3g} GB of memory (a tensor of shape "
                    f"{tuple(args[0])}), {self._path.name} holds {self._path.stat().st_size / 1e9:.3g}: sizes that do not fit"
                )
        return func(*args, **kwargs)


def require_loaded(policy: nn.Module, weights: WeightsFile) -> None:
    """ValueError unless all of the file is in `policy`, all of `policy` is from the file, and all of it is finite.

    LeRobot's pi0, pi0.5 and others go on with random weights where loading failed, and drop tensors that they do not know.
    """
    state = policy.state_dict()
    places = _places(policy, weights, state)
    left_out = [name for name in places if not any(place in state for place in places[name])]
    if left_out:
        raise ValueError(
            f"{weights.path} must hold only weights of the policy that config.json makes, got also {some(left_out)}"
        )
    filled = {_storage(state[place]) for names in places.values() for place in names if place in state}
    missing = [name for name, value in state.items() if value.numel() and _storage(value) not in filled]
    if missing:
        raise ValueError(
            f"{weights.path} must hold every weight of the policy that config.json makes, got a file without {some(missing)}"
        )
    with safe_open(weights.path, "pt") as file:
        for name in places:
            stored = file.get_tensor(name)
            if stored.is_floating_point() and stored.itemsize > 1 and not torch.isfinite(stored).all():
                raise ValueError(
                    f"{weights.path}: {name} must hold finite numbers, got NaN or infinity: a training that diverged; train "
                    "the model again"
                )
            for place in places[name]:
                if place in state and not _same(state[place], stored):
                    raise ValueError(
                        f"{weights.path}: {name} must be what the policy has loaded, got other numbers in it"
                    )


def _places(policy: nn.Module, weights: WeightsFile, state: Mapping[str, Any]) -> dict[str, list[str]]:
    """Where in the policy each tensor of the file belongs: under its own name, or the one that LeRobot translates it to."""
    translate = getattr(policy, "_fix_pytorch_state_dict_keys", None)
    names = [name for name in weights.tensors if not _OLD_STATISTICS.match(name)]
    if translate is None or all(name in state for name in names):
        return {name: [name] for name in names}
    places: dict[str, list[str]] = {name: [] for name in names}
    translated = translate({name: _Name(name) for name in names}, policy.config)
    for place, name in translated.items():
        places[name].append(place if place.startswith("model.") else f"model.{place}")
    return places


class _Name(str):
    """A tensor's name in the tensor's place, which LeRobot's translation of names copies."""

    def clone(self) -> "_Name":
        return self


def _storage(value: torch.Tensor) -> tuple[Any, ...]:
    """The same for tensors that share their memory (tied weights), of which a file holds one."""
    return (value.untyped_storage().data_ptr(), value.storage_offset(), tuple(value.shape))


def _same(loaded: torch.Tensor, stored: torch.Tensor) -> bool:
    if loaded.shape != stored.shape:
        return False
    stored = stored.to(loaded.device)
    if loaded.dtype != stored.dtype:  # rounded once on the way, perhaps
        loaded, stored = loaded.to(torch.bfloat16), stored.to(torch.bfloat16)
    return torch.equal(loaded, stored)
