"""One training by `lerobot-train`: its inputs, its command, its checkpoints and what it publishes."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.datasets.frames.decoded_frames import DecodedDataset
from ocrrl.interface.devices import chosen_device
from ocrrl.policies.finetune_config import FinetuneConfig
from ocrrl.policies.lerobot_training import child
from ocrrl.policies.lerobot_training.datasets import chosen_episodes, one_dataset
from ocrrl.policies.lerobot_training.merge import publish_checkpoint
from ocrrl.policies.lerobot_training.process import logged_losses, run_to_the_end

CHILD = ("-m", child.__name__)
"""What Python runs; a test puts another in its place."""


class LerobotRun:
    """A training whose unfinished work lies in a folder of its own: the same call goes on after the newest whole checkpoint."""

    def __init__(self, config: FinetuneConfig, work: Path):
        self.start = work / "start"
        """The policy before its first step, as a LeRobot folder."""
        self._config, self._work, self._output = config, work, work / "output"
        self._allowed = bool(config.policy.get("allow_remote_code", False))
        self._device = chosen_device(config.device)
        self._dataset, self._episodes = Path(), None
        tracker = config.lerobot.tracker
        if tracker != "none" and find_spec(tracker) is None:
            raise ValueError(
                f"lerobot.tracker {tracker} must be installed, got no such package: `uv pip install {tracker}`"
            )
        if config.lerobot.num_processes > 1 and not self._device.startswith("cuda"):
            raise ValueError(
                f"lerobot.num_processes must be 1 on the device {self._device}, got {config.lerobot.num_processes}"
            )

    def prepare(
        self, parts: Sequence[tuple[Path, list[str] | None]], data: DecodedDataset, init_from: Path | None
    ) -> None:
        """Put the datasets of `parts` together, and write the policy that training starts from, its weights verified.

        `data` holds the numbers of the frames that are trained on, for the statistics. Raises ValueError for fields, features
        and files as `LeRobotLearner`.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        self._dataset = one_dataset([root for root, _ in parts], self._work / "dataset")
        self._episodes = chosen_episodes(parts)
        if self.start.is_dir():
            return
        import torch

        from ocrrl.policies.lerobot_learner import LeRobotLearner

        with torch.random.fork_rng():
            torch.manual_seed(self._config.seed)
            learner = LeRobotLearner(self._dataset, data, self._config.policy, init_from, "cpu")
        for name, value in (
            ("optimizer_lr", self._config.learning_rate),
            ("optimizer_weight_decay", self._config.weight_decay),
        ):
            if hasattr(learner.module.config, name):
                setattr(learner.module.config, name, value)
        partial = files.fresh_folder(self._work / "start.partial")
        learner.save(partial)
        files.publish(partial, self.start)

    def train(self, progress: bool) -> list[dict[str, float]]:
        """Train to the last step; the loss in the course of it. Raises RuntimeError for a child that fails."""
        checkpoint = self._newest()
        done = 0 if checkpoint is None else int(checkpoint.name)
        if checkpoint is None:
            files.remove(self._output)
        if done < self._config.steps:
            command = [*_launch(self._config.lerobot.num_processes), *self._arguments(checkpoint)]
            run_to_the_end(command, self._work / f"train-{done:08d}.log", done, self._config.steps, progress)
        return self._losses()

    def publish(self, out: Path) -> None:
        """Write the last checkpoint to `out` as an ordinary policy, an adapter merged into its base."""
        checkpoint = self._newest()
        if checkpoint is None or int(checkpoint.name) != self._config.steps:
            raise RuntimeError(
                f"{self._output} must hold a whole checkpoint of step {self._config.steps} when lerobot-train has ended, got "
                f"{checkpoint.name if checkpoint else 'none'}; its log is in {self._work}"
            )
        kind = self._config.policy["type"]
        publish_checkpoint(checkpoint / "pretrained_model", self.start, out, self._device, kind, self._allowed)

    def _newest(self) -> Path | None:
        """The newest whole checkpoint; what a kill left half written is removed."""
        whole = []
        for folder in sorted((self._output / "checkpoints").glob("[0-9]*")):
            if (folder / child.WHOLE).exists():
                whole.append(folder)
            else:
                shutil.rmtree(folder)
        return whole[-1] if whole else None

    def _arguments(self, checkpoint: Path | None) -> list[str]:
        config, own = self._config, self._config.lerobot
        if checkpoint is None:
            begin = [f"--policy.path={self.start}", "--policy.push_to_hub=false"]
            begin += [f"--peft.{name}={_written(value)}" for name, value in own.peft.items()]
        else:
            begin = ["--resume=true", f"--config_path={checkpoint / 'pretrained_model/train_config.json'}"]
        episodes = [] if self._episodes is None else [f"--dataset.episodes={_written(self._episodes)}"]
        tracker = [
            f"--job_name={self._work.name}",
            f"--wandb.enable={_written(own.tracker != 'none')}",
            f"--wandb.mode={os.environ.get('WANDB_MODE', 'online')}",  # which LeRobot would not read
            f"--wandb.project={own.project}",
            "--wandb.disable_artifact=true",
        ]
        return [
            child.ALLOW_CODE if self._allowed else child.REFUSE_CODE,
            own.tracker,
            *begin,
            f"--policy.device={self._device}",
            "--dataset.repo_id=ocrrl/episodes",
            f"--dataset.root={self._dataset}",
            "--dataset.video_backend=pyav",
            *episodes,
            f"--output_dir={self._output}",
            f"--steps={config.steps}",
            f"--batch_size={config.batch_size}",
            f"--num_workers={own.num_workers}",
            f"--seed={config.seed}",
            f"--save_freq={config.checkpoint_every}",
            f"--log_freq={self._log_every()}",
            "--env_eval_freq=0",
            "--cudnn_deterministic=true",
            *tracker,
        ]

    def _log_every(self) -> int:
        """Steps between two losses: at most a hundredth of the run, and a whole number of them between two checkpoints."""
        most = max(1, self._config.steps // 100)
        return max(n for n in range(1, most + 1) if self._config.checkpoint_every % n == 0)

    def _losses(self) -> list[dict[str, float]]:
        """The mean losses that `lerobot-train` logged; where a part was done twice, the later of the two."""
        every, found = self._log_every(), {}
        for log in sorted(self._work.glob("train-*.log")):
            begun = int(log.stem.removeprefix("train-")) // every
            found |= {(begun + n) * every: loss for n, loss in enumerate(logged_losses(log), start=1)}
        return [{"step": step, "loss": loss} for step, loss in sorted(found.items())]


def _launch(num_processes: int) -> list[str]:
    """The words before those of `lerobot-train`."""
    if num_processes == 1:
        return [sys.executable, *CHILD]
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={num_processes}", "--num_machines=1"]
    return [sys.executable, *launch, "--mixed_precision=no", "--dynamo_backend=no", *CHILD]


def _written(value: Any) -> str:
    """A value as LeRobot's command line reads it."""
    return value if isinstance(value, str) else json.dumps(value)
