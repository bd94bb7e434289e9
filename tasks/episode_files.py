"""Looks into episode files, dataset videos and films, in a process of its own: it alone imports h5py, numpy, av and Pillow.

    python episode_files.py list FOLDER      JSON on stdout: a row for each episode file
    python episode_files.py frames SOURCE    JPEG on stdout: key frames, a row of pictures for each camera or policy

SOURCE is an episode (`*.h5`), a LeRobotDataset (its first episode is shown) or a film archive (`*.npz`, its first film).

Legend: T frames, H x W pixels, RGB uint8.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image, ImageDraw, ImageFont

MOMENTS = 5  # evenly from the first to the last frame
TILE, GAP, LABEL = 132, 4, 74  # [pixel]
MOST_ROWS = 3
NAMES = {"residual": "base +\nresidual"}


def list_episodes(folder: Path) -> list[dict[str, Any]]:
    """Name, steps, cell and success of each episode file in `folder`; what cannot be read is said in `error`."""
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.h5")):
        try:
            with h5py.File(path) as file:
                steps, attributes = len(file["action"]), file.attrs  # type: ignore[arg-type]
                success = attributes.get("success")
                cell = str(attributes.get("cell", ""))
                rows.append(
                    {
                        "source": path.name,
                        "steps": steps,
                        "cell": cell,
                        "success": None if success is None else bool(success),
                    }
                )
        except (OSError, KeyError) as error:
            rows.append({"source": path.name, "error": str(error)})
    return rows


def key_frames(source: Path) -> dict[str, list[np.ndarray]]:
    """`MOMENTS` frames (H, W, 3) of one episode by camera, or of one film by policy."""
    if source.suffix == ".h5":
        with h5py.File(source) as file:
            images: Any = file["images"]
            return {camera: [images[camera][t] for t in moments(len(images[camera]))] for camera in images}
    if source.suffix == ".npz":
        with np.load(source, allow_pickle=False) as file:
            arms = [name.rsplit("_", 1) for name in file.files]
            first = min(int(seed) for _, seed in arms)
            films = {arm: file[f"{arm}_{first}"] for arm, seed in arms if int(seed) == first}
        return {arm: [film[t] for t in moments(len(film))] for arm, film in films.items()}
    length = json.loads((source / "sidecar" / "episodes.json").read_text())[0]["length"]
    videos = sorted((source / "videos").glob("*/chunk-000/file-000.mp4"))
    return {path.parts[-3].rpartition(".")[2]: frames_of_video(path, moments(length)) for path in videos}


def moments(length: int) -> list[int]:
    return [round(k * (length - 1) / (MOMENTS - 1)) for k in range(MOMENTS)]


def frames_of_video(path: Path, wanted: list[int]) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        decoded = zip(range(wanted[-1] + 1), container.decode(video=0), strict=False)
        frames = {t: frame.to_ndarray(format="rgb24") for t, frame in decoded if t in wanted}
    return [frames[t] for t in wanted]


def contact_sheet(rows: dict[str, list[np.ndarray]]) -> bytes:
    """The frames in a grid, each row with its name in front; raises ValueError where there is nothing to show."""
    if not rows:
        raise ValueError("there are no pictures")
    shown = dict(list(rows.items())[:MOST_ROWS])
    size = LABEL + MOMENTS * (TILE + GAP) - GAP, len(shown) * (TILE + GAP) - GAP
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for k, (name, frames) in enumerate(shown.items()):
        top = k * (TILE + GAP)
        draw.text((LABEL - 8, top + TILE // 2), NAMES.get(name, name), "#1f2937", font, anchor="rm", align="right")
        for m, frame in enumerate(frames):
            tile = Image.fromarray(frame)
            tile.thumbnail((TILE, TILE))
            enlarged = TILE / max(tile.size)
            tile = tile.resize((round(tile.width * enlarged), round(tile.height * enlarged)), Image.Resampling.BICUBIC)
            sheet.paste(tile, (LABEL + m * (TILE + GAP) + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=82)
    return content.getvalue()


if __name__ == "__main__":
    what, place = sys.argv[1], Path(sys.argv[2])
    if what == "list":
        json.dump(list_episodes(place), sys.stdout)
    else:
        sys.stdout.buffer.write(contact_sheet(key_frames(place)))
