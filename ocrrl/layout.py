"""Where everything lies under `data/`: one name for each artifact, used by the commands and checked against dvc.yaml.

Every part of a path is a name by the pattern of `ocrrl.interface.names`; ValueError otherwise, so that none leaves `data/`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ocrrl.interface.names import require_name, require_seed

DATA = Path("data")
WORK = Path(".work")  # unfinished work: never tracked, safe to delete when nothing runs
DECODED_FRAMES = WORK / "decoded"  # pictures of datasets, read by every stage that trains a VLA on them
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
        return DATA / "metrics" / self.round / "ingest" / f"{self.tabletop_task}.json"

    @property
    def normalised_episodes(self) -> Path:
        """Episodes of a foreign format, converted to ours."""
        return DATA / "episodes" / self.tabletop_task / "normalised"

    @property
    def replay_transitions(self) -> Path:
        return DATA / "replay" / self.round / f"{self.tabletop_task}.zarr"

    @property
    def replay_report(self) -> Path:
        return DATA / "metrics" / self.round / "replay" / f"{self.tabletop_task}.json"

    def dataset(self, domain: str) -> Path:
        """LeRobotDataset of the demonstrations as `sim` or `real` saw them."""
        require_name("domain", domain)
        return DATA / "datasets" / self.round / f"{self.tabletop_task}_{domain}"

    def vla(self, name: str) -> Path:
        """A VLA: `sim`, `real`, `retrained`, or a control arm `demonstrations_only` or `base_rollouts`."""
        require_name("VLA", name)
        return DATA / "models" / self.round / self.tabletop_task / f"vla_{name}"

    def residual(self, seed: int) -> Path:
        require_seed("seed", seed)
        return DATA / "models" / self.round / self.tabletop_task / f"residual_{seed}"

    def evaluation(self, seed: int) -> Path:
        require_seed("seed", seed)
        return DATA / "metrics" / self.round / "evaluate" / f"{self.tabletop_task}-{seed}.json"

    def evaluation_episodes(self, seed: int) -> Path:
        """Outcomes, traces and films of single episodes."""
        require_seed("seed", seed)
        return DATA / "evaluations" / self.round / f"{self.tabletop_task}-{seed}"

    def rollouts(self, policy: str) -> Path:
        """Successful episodes of the real VLA, `corrected` by the residual or `base` alone."""
        require_name("policy", policy)
        return DATA / "rollouts" / self.round / f"{self.tabletop_task}_{policy}"

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
        return DATA / "metrics" / self.round / stage / f"{self.tabletop_task}.json"

    def training_set(self, name: str) -> Path:
        """LeRobotDataset for retraining: `retrained` or `base_rollouts`; the third arm trains on `dataset("real")`."""
        require_name("training set", name)
        return DATA / "training_sets" / self.round / f"{self.tabletop_task}_{name}"

    @property
    def retrained_evaluation(self) -> Path:
        return DATA / "metrics" / self.round / "evaluate_retrained" / f"{self.tabletop_task}.json"

    @property
    def report(self) -> Path:
        return DATA / "reports" / self.round / self.tabletop_task

    @property
    def promotion(self) -> Path:
        """How the retrained VLA and the one before compared on validation states."""
        return DATA / "metrics" / self.round / "promote" / f"{self.tabletop_task}.json"

    def work(self, stage: str) -> Path:
        """Folder for a stage's unfinished work."""
        require_name("stage", stage)
        return WORK / self.round / self.tabletop_task / stage


def require_session_name(session: str, folder: Path) -> None:
    """ValueError unless `session` is a name, or an older one with capitals or dots that is in `folder` already."""
    if not (OLDER_SESSION.fullmatch(session) and (folder / session).is_dir()):
        require_name("session", session)
