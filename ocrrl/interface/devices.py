"""The parameters `device` and `threads` of stages that use torch."""

import re

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
MAX_THREADS = 1024
"""More than any one machine has; far more of them end the process that asks."""


def require_device(device: str) -> None:
    """Raise ValueError unless `device` is auto, cpu, cuda, or one of several GPUs such as cuda:1."""
    if not _DEVICE.fullmatch(str(device)):
        raise ValueError(f"device must be auto, cpu, cuda or cuda:<index>, got {device!r}")


def require_threads(threads: int) -> None:
    """Raise ValueError unless torch can be asked for as many `threads` of the CPU."""
    if not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads must be 1 to {MAX_THREADS}, got {threads}")


def chosen_device(device: str) -> str:
    """The device that `device` stands for on this machine; `auto` is a GPU where torch can use one, else the CPU.

    Raises ValueError for a GPU that torch cannot use here.
    """
    require_device(device)
    if device == "cpu":
        return device
    import torch

    usable = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if usable else "cpu"
    index = int(device.partition(":")[2] or 0)
    if not usable or index >= torch.cuda.device_count():
        raise ValueError(
            f"device must be one that torch can use here (GPUs: {torch.cuda.device_count()}), got {device!r}; "
            "`ocrrl doctor` prints more; `device: auto` takes a GPU if there is one"
        )
    return device
