"""Weights & Biases: offline unless `WANDB_MODE` says otherwise; `wandb sync .work/wandb/wandb/offline-run-*` uploads runs."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from ocrrl.loggers.run_logger import PROJECT

TIMEOUT = 5.0
"""[s] for a server of W&B to answer, where a run is online."""


class WandbRun:
    """A `Sink`; every curve has a step of its own, since those of one run may count different things."""

    def __init__(self, folder: Path, run: str) -> None:
        self._wandb = wandb = import_module("wandb")
        self._media = tempfile.TemporaryDirectory()
        self._curves: set[str] = set()
        label = run.partition("/")[0]
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run,
            group=label,
            dir=str(folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                init_timeout=TIMEOUT,
                login_timeout=TIMEOUT,
                x_graphql_timeout_seconds=TIMEOUT,  # a server that is away is asked for hours otherwise, also at the process's end
                x_graphql_retry_max=1,
            ),
        )

    def scalars(self, name: str, step: int, values: Mapping[str, float]) -> None:
        counted = f"{name}/step"
        if name not in self._curves:
            self._curves.add(name)
            self._run.define_metric(counted)
            self._run.define_metric(f"{name}/*", step_metric=counted)
        self._run.log({counted: step} | {f"{name}/{key}": value for key, value in values.items()})

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._run.log({name: self._wandb.Table(columns=list(header), data=[list(row) for row in rows])})

    def video(self, name: str, gif: bytes) -> None:
        path = Path(self._media.name, f"{name.replace('/', '_')}.gif")
        path.write_bytes(gif)
        self._run.log({name: self._wandb.Video(str(path), format="gif")})

    def close(self) -> None:
        self._run.finish()
        self._media.cleanup()


def load(folder: Path) -> None:
    import_module("wandb")


def open_run(folder: Path, run: str) -> WandbRun:
    return WandbRun(folder, run)
