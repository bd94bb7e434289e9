"""TensorBoard: one folder a run; `tensorboard --logdir .work/tensorboard` shows them."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path


class TensorBoardRun:
    """A `Sink`; tables are text, videos images that move."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def scalars(self, name: str, step: int, values: Mapping[str, float]) -> None:
        for key, value in values.items():
            self._writer.add_scalar(f"{name}/{key}", value, step)
        self._writer.flush()

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = [header, ["---"] * len(header), *rows]
        self._writer.add_text(name, "\n".join(f"| {' | '.join(line)} |" for line in lines))

    def video(self, name: str, gif: bytes) -> None:
        Summary = import_module("tensorboard.compat.proto.summary_pb2").Summary
        image = Summary.Image(encoded_image_string=gif, colorspace=3)
        self._writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), 0)

    def close(self) -> None:
        self._writer.close()


def open_run(folder: Path, run: str) -> TensorBoardRun:
    return TensorBoardRun(folder / run)
