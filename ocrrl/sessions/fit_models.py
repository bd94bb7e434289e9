"""What the models of a session must be to act in its cell; whatever is refused here is, before an approval is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.cells import Cell
from ocrrl.interface.residual_observations import (
    NOT_PRIVILEGED,
    AnyResidual,
    ImageResidual,
    PrivilegedResidual,
    require_images,
)

if TYPE_CHECKING:
    from ocrrl.policies.chunk_delay import ChunkDelay
    from ocrrl.residual.residual_policy import TrainedPolicy


def require_signed(models: Sequence[Path], public_key: Path) -> None:
    """NotSigned (ValueError) for the first of `models` whose signature or signed lineage does not verify with `public_key`."""
    from ocrrl.lineage.signature import verify_model

    for model in models:
        signed = verify_model(Path(), str(model), public_key)
        print(f"{model}: {signed.files} files and lineage as signed by the key of {public_key}")


def require_measured(vla: Path) -> None:
    """FileNotFoundError where nobody has measured how late the VLA in `vla` answers, which an arm waits for."""
    if not (vla / "latency.json").is_file():
        raise FileNotFoundError(
            f"{vla} must hold latency.json before its server moves an arm: measure it with `ocrrl measure-latency`, name the file in "
            "tabletop_tasks of params.yaml, and run `dvc repro`"
        )


def require_images_of(cell: Cell, cameras: CameraSizes, residual: AnyResidual) -> None:
    """ValueError where `cell`, which takes the images `cameras`, does not give what `residual` observes."""
    if isinstance(residual, PrivilegedResidual):
        raise ValueError(f"cell {cell.name} {NOT_PRIVILEGED}")
    if isinstance(residual, ImageResidual):
        require_images(cameras, residual.cameras, f"cell {cell.name}")


def require_trained_for(delay: "ChunkDelay", residual: "TrainedPolicy", vla: Path, folder: Path) -> None:
    """ValueError where the chunks of the VLA in `vla` come later than the residual in `folder` has learned to expect."""
    late = delay.on_the_arm
    if late > residual.chunk_delay:
        raise ValueError(
            f"{vla} answers {late} control steps late (95th percentile of its latency.json), {folder} was trained for at most "
            f"{residual.chunk_delay}: name the latency in tabletop_tasks of params.yaml and run `dvc repro` again"
        )
