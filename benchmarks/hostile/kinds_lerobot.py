"""LeRobotDatasets: metadata that contradicts itself, rows and columns that are not what they say."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.hostile.case import Case, Draw, Kind
from benchmarks.hostile.motion import Motion
from benchmarks.hostile.writers import DATA, EPISODES, LEROBOT_MAPPING, LeRobotEdits, lerobot

NAME = "monday"
FIRST_DATA = DATA.format(chunk_index=0, file_index=0)


def mapping(**changes: Any) -> dict[str, Any]:
    """The mapping of what `lerobot` writes, changed; None takes a key out."""
    return {key: value for key, value in (LEROBOT_MAPPING | changes).items() if value is not None}


def read_all(motions: list[Motion], numbers: list[int] | None = None) -> dict[str, Motion]:
    """Every episode by its origin."""
    return {f"{NAME}:{number}": motion for number, motion in zip(numbers or range(len(motions)), motions, strict=True)}


def whole_dataset(
    draw: Draw,
    field: str,
    edits: LeRobotEdits | None = None,
    after: Callable[[Path], object] | None = None,
    **changes: Any,
) -> Case:
    """A dataset of which nothing can be taken, beside a good one."""
    lerobot(draw.folder / NAME, draw.motions(2), edits)
    if after:
        after(draw.folder / NAME)
    good = draw.motion()
    lerobot(draw.folder / "tuesday", [good])
    return Case("lerobot", mapping(**changes), refused={NAME: field}, read={"tuesday:0": good})


def sound(draw: Draw, edits: LeRobotEdits | None = None, count: int = 2, hz: float = 20.0, **changes: Any) -> Case:
    """A dataset that is read whole."""
    motions = draw.motions(count, hz=hz)
    lerobot(draw.folder / NAME, motions, edits)
    return Case(
        "lerobot", mapping(**changes), read=read_all(motions, list(edits.numbers) if edits and edits.numbers else None)
    )


def one_of_three(draw: Draw, field: str, edits: Callable[[int], LeRobotEdits]) -> Case:
    """A dataset of which one episode cannot be taken."""
    motions, odd = draw.motions(3), int(draw.generator.integers(3))
    lerobot(draw.folder / NAME, motions, edits(odd))
    case = Case("lerobot", mapping(), refused={f"{NAME}:{odd}": field}, read=read_all(motions))
    del case.read[f"{NAME}:{odd}"]
    return case


def _gaps(draw: Draw) -> Case:
    return sound(draw, LeRobotEdits(numbers=sorted(draw.generator.choice(9, 3, replace=False).tolist())), count=3)


def _rows_twice(draw: Draw) -> Case:
    def after(root: Path) -> None:
        shutil.copy(root / FIRST_DATA, root / DATA.format(chunk_index=0, file_index=1))

    return whole_dataset(draw, "file-001|rows|length|frame_index", after=after)


def _one_window(draw: Draw) -> Case:
    """Two episodes say that the same stretch of a video is theirs."""
    motions, thief = draw.motions(3), draw.one_of(1, 2)
    key = "videos/observation.images.front"

    def edit(episodes: list[dict]) -> list[dict]:
        for end in ("from", "to"):
            episodes[thief][f"{key}/{end}_timestamp"] = episodes[0][f"{key}/{end}_timestamp"]
        return episodes

    lerobot(draw.folder / NAME, motions, LeRobotEdits(episodes=edit))
    read = read_all(motions)
    del read[f"{NAME}:{thief}"]
    first = read.pop(f"{NAME}:0")
    field = "timestamp|frames|front"
    return Case(
        "lerobot", mapping(), refused={f"{NAME}:{thief}": field}, read=read, either={f"{NAME}:0": (field, first)}
    )


def _entry(field: str, *values: Any) -> Callable[[Draw], Case]:
    """A value in `meta/episodes` that cannot be."""

    def make(draw: Draw) -> Case:
        value = draw.one_of(*values)

        def edit(odd: int) -> LeRobotEdits:
            def change(episodes: list[dict]) -> list[dict]:
                episodes[odd][field] = value
                return episodes

            return LeRobotEdits(episodes=change)

        return one_of_three(draw, field.rsplit("/", 1)[-1].split("_")[0], edit)

    return make


def _float_indices(draw: Draw) -> Case:
    def edit(episodes: list[dict]) -> list[dict]:
        return [{key: float(v) if key.endswith("_index") else v for key, v in entry.items()} for entry in episodes]

    return sound(draw, LeRobotEdits(episodes=edit))


def _no_task(draw: Draw) -> LeRobotEdits:
    value = draw.one_of(None, [], [""], ["   "])

    def edit(episodes: list[dict]) -> list[dict]:
        return [entry | {"tasks": value} for entry in episodes]

    return LeRobotEdits(episodes=edit)


def _no_instruction(draw: Draw) -> Case:
    case = sound(draw, _no_task(draw))
    case.either, case.read = {origin: ("task|instruction", motion) for origin, motion in case.read.items()}, {}
    return case


def _totals(draw: Draw) -> Case:
    """Totals that the episodes deny: each episode may be whole."""
    wrong = draw.one_of(("total_episodes", 7), ("total_frames", 10**12), ("total_frames", -1))
    case = whole_dataset(draw, "total_", LeRobotEdits(info=set_to(*wrong)))
    case.either = {origin: ("total_", motion) for origin, motion in read_all(draw.made[:2]).items()}
    return case


def info_kind(field: str, *edits: Callable[[dict], object]) -> Callable[[Draw], Case]:
    return lambda draw: whole_dataset(draw, field, LeRobotEdits(info=draw.one_of(*edits)))


def set_to(key: str, value: Any) -> Callable[[dict], object]:
    return lambda info: info.__setitem__(key, value)


def _text_of_info(draw: Draw) -> Case:
    text = draw.one_of("[]", "{", "null", '"x"', "[" * 20_000 + "]" * 20_000, "", "\x00\x01", '{"fps": 20}')
    return whole_dataset(draw, "info.json", after=lambda root: (root / "meta/info.json").write_text(text))


def _names(draw: Draw) -> Case:
    def edit(info: dict) -> None:
        for key in ("observation.state", "action"):
            names = info["features"][key]["names"]
            info["features"][key]["names"] = form(names)

    form = draw.one_of(lambda names: {"motors": names}, lambda names: [names])
    return sound(draw, LeRobotEdits(info=edit))


def _no_names(draw: Draw) -> Case:
    def edit(info: dict) -> None:
        info["features"]["observation.state"]["names"] = draw.one_of(None, [], 7, ["x"])

    case = whole_dataset(draw, "names|position", LeRobotEdits(info=edit))
    field = case.refused.pop(NAME)
    return Case("lerobot", case.mapping, refused={f"{NAME}:{number}": field for number in range(2)}, read=case.read)


def damaged_table(where: str) -> Callable[[Draw], Case]:
    def make(draw: Draw) -> Case:
        def after(root: Path) -> None:
            path = root / where
            content = path.read_bytes()
            kind = draw.one_of("cut", "lfs", "html", "empty", "footer")
            odd = {"cut": content[: len(content) // 2], "empty": b"", "html": b"<html>login</html>"}
            odd |= {"lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"}
            odd |= {"footer": content[:-8] + b"\xff\xff\xff\x7fPAR1"}
            path.write_bytes(odd[kind])

        case = whole_dataset(draw, "file", after=after)
        case.files = {NAME: Path(where).name}
        return case

    return make


def _splits(draw: Draw) -> Case:
    motions = draw.motions(4)
    first = int(draw.generator.integers(1, 4))
    splits = {"train": f"0:{first}", "val": f"{first}:4"}
    lerobot(draw.folder / NAME, motions, LeRobotEdits(info=set_to("splits", splits)))
    read = {f"{NAME}:{number}": motion for number, motion in enumerate(motions) if number < first}
    return Case("lerobot", mapping(), read=read, left_out=tuple(f"{NAME}:{number}" for number in range(first, 4)))


def other_version(draw: Draw) -> Case:
    return whole_dataset(
        draw,
        "codebase_version|version",
        LeRobotEdits(info=set_to("codebase_version", draw.one_of("v2.0", "v1.6", None, 3, "v9.0"))),
    )


def _half_converted(draw: Draw) -> Case:
    return whole_dataset(draw, "meta/episodes", after=lambda root: shutil.rmtree(root / "meta/episodes"))


KINDS = [
    Kind("lerobot: rows twice", _rows_twice, _gaps),
    Kind("lerobot: one stretch of video, two episodes", _one_window),
    Kind("lerobot: lengths", _entry("length", 10**9, 0, -3, 2**62, None), _float_indices),
    Kind(
        "lerobot: begin in the video",
        _entry("videos/observation.images.front/from_timestamp", 1e18, float("nan"), -5.0, None),
    ),
    Kind("lerobot: file numbers", _entry("videos/observation.images.front/file_index", 999, -1, 0.5, None)),
    Kind("lerobot: no instruction", _no_instruction, lambda draw: sound(draw, _no_task(draw), instruction="lift it")),
    Kind(
        "lerobot: fps",
        info_kind("fps", *(set_to("fps", value) for value in (0, -20, "twenty", None, float("nan"), 1e300, [20]))),
        lambda draw: sound(draw, hz=draw.one_of(10.0, 30.0)),
    ),
    Kind(
        "lerobot: features",
        info_kind("features", set_to("features", None), set_to("features", []), set_to("features", {"action": 3})),
        _names,
    ),
    Kind(
        "lerobot: totals",
        _totals,
    ),
    Kind(
        "lerobot: paths",
        info_kind(
            "video_path|data_path",
            set_to("video_path", "../../{video_key}.mp4"),
            set_to("video_path", "/etc/{video_key}"),
            set_to("data_path", "{chunk_index.__class__}"),
            set_to("video_path", "{video_key:>999999999}"),
            set_to("video_path", 7),
        ),
    ),
    Kind("lerobot: info.json", _text_of_info),
    Kind("lerobot: names", _no_names, _names),
    Kind("lerobot: damaged list of episodes", damaged_table(EPISODES)),
    Kind("lerobot: half converted", _half_converted, _splits),
]
