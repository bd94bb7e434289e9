"""The process that `LerobotRun` starts: LeRobot's `lerobot-train`, with what a run here relies on.

- Weights are compared with their file, and no folder's code runs that was not allowed.
- The statistics are those of the folder that it starts from; LeRobot would take the whole dataset's.
- A run that is resumed goes on to the weights of one that was never interrupted, where the machine's arithmetic is repeatable:
  LeRobot's loader draws a number as an epoch begins, so one more in a run that is resumed.
- A checkpoint that is whole bears a mark; older ones are removed, since each takes three times the model.
- It ends when the process that started it does, and its whole group with it.
"""

import importlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

WHOLE = "whole"
"""The mark of a checkpoint, a file in its folder."""
ALLOW_CODE, REFUSE_CODE = "--folders-may-run-code", "--folders-may-not-run-code"


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    allowed, tracker = sys.argv.pop(1) == ALLOW_CODE, sys.argv.pop(1)
    from lerobot.scripts import lerobot_train

    from ocrrl.policies.lerobot_loading import remote_code

    make_policy, make_processors = lerobot_train.make_policy, lerobot_train.make_pre_post_processors
    mark_last = lerobot_train.update_last_checkpoint

    def verified_policy(cfg: Any, **arguments: Any) -> Any:
        from ocrrl.policies.lerobot_loading import load_weights

        return load_weights(Path(cfg.pretrained_path), lambda: make_policy(cfg, **arguments))

    def saved_processors(policy_cfg: Any, pretrained_path: Any, preprocessor_overrides: Any, **_: Any) -> Any:
        device = {"device_processor": preprocessor_overrides["device_processor"]}
        return make_processors(policy_cfg, pretrained_path=pretrained_path, preprocessor_overrides=device)

    def whole_checkpoint(checkpoint: Path) -> None:
        os.sync()
        (checkpoint / WHOLE).touch()
        mark_last(checkpoint)
        for older in checkpoint.parent.iterdir():
            if older.is_dir() and not older.is_symlink() and older != checkpoint:
                shutil.rmtree(older)

    lerobot_train.make_policy = verified_policy
    lerobot_train.make_pre_post_processors = saved_processors
    lerobot_train.cycle = epochs
    lerobot_train.update_last_checkpoint = whole_checkpoint
    if tracker == "trackio":
        lerobot_train.WandBLogger = TrackioLogger
    with remote_code(allowed):
        lerobot_train.main()


class TrackioLogger:
    """LeRobot's logger for Weights & Biases, to trackio."""

    def __init__(self, cfg: Any) -> None:
        trackio = importlib.import_module("trackio")  # not in the lock: who asks for it installs it
        self._run = trackio.init(project=cfg.wandb.project, name=cfg.job_name, config=cfg.to_dict(), resume="allow")

    def log_dict(self, values: Mapping[str, Any], step: int, mode: str = "train") -> None:
        numbers = {f"{mode}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        self._run.log(numbers, step=step)

    def log_policy(self, checkpoint: Path) -> None:
        """Checkpoints stay here."""


def epochs(loader: Iterable[Any]) -> Iterator[Any]:
    """The batches of `loader` again and again; to begin an epoch draws nothing from torch's generator."""
    import torch

    while True:
        with torch.random.fork_rng():
            batches = iter(loader)
            first = next(batches, None)
        if first is None:
            raise ValueError("the dataset must hold at least one batch, got none")
        yield first
        yield from batches


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):  # empty when the other end of the pipe is closed
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
