"""What a finished stage has written, for a logger: the curves that were not sent as they grew, the tables of `ocrrl show`, videos."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.layout import Layout
from ocrrl.loggers.run_logger import RunLogger, log_points

CURVES = {"curve.json": ("residual", "points", "transitions"), "training.json": ("training", "loss", "step")}
"""By the file's name: the curve's name, the key of its points, and of a point the key of its step."""
_EVERY = 2  # of an episode's frames, how many make one of its video


def curve_name(kind: str, out: Path) -> str:
    """`training/sim` for `data/vla_sim/round0/cube_lift`."""
    return f"{kind}/{out.parts[1].partition('_')[2]}"


def log_results(
    logger: RunLogger, stage: str, layout: Layout, variant: Mapping[str, Any], outs: Sequence[Path]
) -> None:
    """Send what is in `outs`; an error on the way is the logger's, said in one line."""
    try:
        for out in outs:
            for file, (kind, points, step) in CURVES.items():
                if (out / file).is_file():
                    log_points(logger, curve_name(kind, out), json.loads((out / file).read_text())[points], step)
            if out.suffix == ".json":
                rates = dict(_rates(json.loads(out.read_text())))
                logger.curve("success_rate", layout.round_number, rates)
            for path in sorted(out.glob("*.npz")) if out.parts[1].startswith("evaluation_") else ():
                with np.load(path) as videos:
                    for name in videos.files:
                        logger.video(f"{path.stem}/{name}", _gif(videos[name]))
        _log_tables(logger, stage, layout, "".join(map(str, variant.values())))
    except Exception as error:
        logger.lose(error)


def _log_tables(logger: RunLogger, stage: str, layout: Layout, variant: str) -> None:
    from ocrrl.report.stage_pages import PAGES
    from ocrrl.report.table import Table

    page = PAGES[stage](layout, variant)
    tables = [block for block in page.blocks if isinstance(block, Table)]
    for number, table in enumerate(tables):
        logger.table(f"{stage}/{table.title or number}", table.header, table.rows)


def _rates(metrics: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every success rate in a file of metrics, with its dotted place."""
    for key, value in metrics.items() if isinstance(metrics, dict) else ():
        if key == "success_rate":
            yield prefix, value
        else:
            yield from _rates(value, f"{prefix}.{key}" if prefix else str(key))


def _gif(frames: np.ndarray) -> bytes:
    """`frames` (T, H, W, 3) uint8 as an animated GIF at half the control frequency."""
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in frames[::_EVERY])
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, duration=1000 * _EVERY // CONTROL_HZ, loop=0)
    return content.getvalue()
