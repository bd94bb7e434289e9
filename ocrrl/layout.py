"""Paths of all data: `data/kind/round/tabletop task`.

A folder `kind/round` holds one entry a tabletop task and nothing else, so that a stage on all tasks depends on that folder. Every
part of a path is a name by the pattern of `ocrrl.interface.names`; ValueError otherwise, so that none leaves `data/`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ocrrl.interface.names import require_name, require_seed

DATA = Path("data")
WORK = Path(".work")  # unfinished work: never tracked, safe to delete when nothing runs
DECODED_FRAMES = WORK / "decoded"  # images of datasets, read by every stage that trains a VLA on them
ROUND = "round0"
MULTITASK = "multitask"  # stands where a tabletop task's slug would, for what was trained on all of them
PUBLISHED_VLA = DATA / "models" / "vla_retrained"  # the last multi-task VLA
ROLLED_OUT_SEED = 0  # of the residual that `rollout` uses: fixed beforehand, not chosen on results

OLDER_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")  # sessions begun before names were lower-case go on


@dataclass(frozen=True)
class Layout:
    """The paths of one tabletop task, or of `MULTITASK`, in one round of self-improvement."""

    tabletop_task: str
    round: str = ROUND

    def __post_init__(self) -> None:
        require_name("tabletop task", self.tabletop_task)
        require_name("round", self.round)

    @property
    def round_number(self) -> int:
        """ValueError for a name that is none of round0, round1, ..."""
        number = re.fullmatch(r"round([0-9]{1,6})", self.round)
        if number is None:
            raise ValueError(f"round must be one of round0, round1, ..., got {self.round!r}")
        return int(number[1])

    @property
    def previous(self) -> "Layout":
        """The round before; ValueError in the first one."""
        if self.round_number == 0:
            raise ValueError(f"{self.round} must be a later round, got the first one")
        return Layout(self.tabletop_task, f"round{self.round_number - 1}")

    @property
    def first(self) -> "Layout":
        """Round 0, whose demonstrations every round starts from."""
        return Layout(self.tabletop_task)

    @property
    def recorded_episodes(self) -> Path:
        return DATA / "episodes" / self.tabletop_task / "recorded"

    @property
    def ingest_report(self) -> Path:
        return self._metrics("ingest")

    @property
    def normalised_episodes(self) -> Path:
        """Episodes of a foreign format, converted to ours."""
        return DATA / "normalised" / self.round / self.tabletop_task

    @property
    def replay_transitions(self) -> Path:
        return DATA / "transitions" / self.round / f"{self.tabletop_task}.zarr"

    @property
    def replay_report(self) -> Path:
        return self._metrics("replay")

    @property
    def accepted_replays(self) -> Path:
        """The source names of the episodes whose replay was kept, as a JSON list."""
        return DATA / "accepted" / self.round / f"{self.tabletop_task}.json"

    def dataset(self, domain: str) -> Path:
        """LeRobotDataset of the demonstrations as `sim` or `real` saw them."""
        require_name("domain", domain)
        return DATA / f"dataset_{domain}" / self.round / self.tabletop_task

    def vla(self, name: str) -> Path:
        """A VLA: `sim`, `real`, `retrained`, or a control variant `demonstrations_only` or `base_rollouts`."""
        require_name("VLA", name)
        return DATA / f"vla_{name}" / self.round / self.tabletop_task

    def imported_vla(self, domain: str) -> Path:
        """A VLA that somebody else's trainer made; a user adds it with `dvc add`, no stage writes it."""
        require_name("domain", domain)
        return DATA / f"imported_{domain}" / self.round / self.tabletop_task

    def residual(self, seed: int) -> Path:
        require_seed("seed", seed)
        return DATA / f"residual_{seed}" / self.round / self.tabletop_task

    def evaluation(self, seed: int) -> Path:
        require_seed("seed", seed)
        return self._metrics(f"evaluate_{seed}")

    def evaluation_episodes(self, seed: int) -> Path:
        """Outcomes, traces and videos of single episodes."""
        require_seed("seed", seed)
        return DATA / f"evaluation_{seed}" / self.round / self.tabletop_task

    def rollouts(self, policy: str) -> Path:
        """Successful episodes of the real VLA, `corrected` by the residual or `base` alone."""
        require_name("policy", policy)
        return DATA / f"rollouts_{policy}" / self.round / self.tabletop_task

    def session(self, cell: str, session: str) -> Path:
        """An append-only folder of episodes that an operator approved in `cell`; no stage writes it."""
        require_name("cell", cell)
        folder = DATA / "sessions" / cell / self.tabletop_task
        require_session_name(session, folder)
        return folder / session

    def recording_session(self, session: str) -> Path:
        """The folder of demonstrations that a person gives in `session`; no stage writes it."""
        folder = DATA / "episodes" / self.tabletop_task
        require_session_name(session, folder)
        return folder / session

    def rollout_report(self, policy: str) -> Path:
        stage = {"corrected": "rollout", "base": "rollout_base"}[policy]
        return self._metrics(stage)

    def training_set(self, name: str) -> Path:
        """LeRobotDataset for retraining: `retrained` or `base_rollouts`; the third variant trains on `dataset("real")`."""
        require_name("training set", name)
        return DATA / f"training_set_{name}" / self.round / self.tabletop_task

    @property
    def retrained_evaluation(self) -> Path:
        return self._metrics("evaluate_retrained")

    @property
    def report(self) -> Path:
        return DATA / "reports" / self.round / self.tabletop_task

    @property
    def promotion(self) -> Path:
        """How the retrained VLA and the one before compared on validation states."""
        return self._metrics("promote")

    def _metrics(self, kind: str) -> Path:
        return DATA / "metrics" / kind / self.round / f"{self.tabletop_task}.json"

    def work(self, stage: str) -> Path:
        """Folder for a stage's unfinished work."""
        require_name("stage", stage)
        return WORK / self.round / self.tabletop_task / stage


def require_session_name(session: str, folder: Path) -> None:
    """ValueError unless `session` is a name, or an older one with capitals or dots that is in `folder` already."""
    if not (OLDER_SESSION.fullmatch(session) and (folder / session).is_dir()):
        require_name("session", session)
