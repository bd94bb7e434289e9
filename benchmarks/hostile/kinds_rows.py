"""LeRobotDatasets: rows, clocks and numbers that are not what the mapping takes them for."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from benchmarks.hostile.case import Case, Draw, Kind
from benchmarks.hostile.kinds_lerobot import (
    FIRST_DATA,
    NAME,
    damaged_table,
    mapping,
    one_of_three,
    other_version,
    read_all,
    sound,
)
from benchmarks.hostile.writers import LeRobotEdits, lerobot
from ocrrl.interface import rotations


def _rows(field: str, change: Callable[[Draw, np.ndarray], np.ndarray]) -> Callable[[Draw], Case]:
    """A bookkeeping column of one episode that is wrong."""

    def make(draw: Draw) -> Case:
        def edit(odd: int) -> LeRobotEdits:
            def columns(data: dict[str, np.ndarray]) -> None:
                rows = data["episode_index"] == odd
                data[field][rows] = change(draw, data[field][rows])

            return LeRobotEdits(columns=columns)

        return one_of_three(draw, field, edit)

    return make


def _late_rows(draw: Draw, t: np.ndarray) -> np.ndarray:
    hole = np.where(np.arange(len(t)) >= draw.generator.integers(3, len(t) - 3), draw.one_of(0.3, 1.0), 0.0)
    odd = [t + hole, 2 * t, 0 * t, t[::-1], t * 1000, t - 5.0]
    return odd[draw.generator.integers(len(odd))]


def _jitter(draw: Draw) -> Case:
    def columns(data: dict[str, np.ndarray]) -> None:
        data["timestamp"] += draw.generator.uniform(-0.003, 0.003, len(data["timestamp"])).astype(np.float32) * (
            data["frame_index"] > 0
        )

    return sound(draw, LeRobotEdits(columns=columns))


def _holes_in_rows(draw: Draw) -> Case:
    motions = draw.motions(3)
    odd, kind = int(draw.generator.integers(3)), draw.one_of("null", "ragged", "nan")

    def edit(table: pa.Table) -> pa.Table:
        column = table["observation.state"].to_pylist()
        row = sum(len(motion) for motion in motions[:odd]) + 7
        column[row] = {"null": None, "ragged": column[row][:-2], "nan": [float("nan")] * len(column[row])}[kind]
        at = table.column_names.index("observation.state")
        return table.set_column(at, "observation.state", pa.array(column, pa.list_(pa.float32())))

    lerobot(draw.folder / NAME, motions, LeRobotEdits(table=edit))
    case = Case(
        "lerobot",
        mapping(),
        refused={f"{NAME}:{odd}": "observation.state|position|gripper_pose"},
        read=read_all(motions),
    )
    del case.read[f"{NAME}:{odd}"]
    return case


def _number_types(draw: Draw) -> Case:
    def columns(data: dict[str, np.ndarray]) -> None:
        data["observation.state"] = data["observation.state"].astype(np.float64)
        data["episode_index"] = data["episode_index"].astype(draw.one_of(np.int32, np.uint8, np.float64))
        data["spare"] = np.zeros(len(data["index"]), draw.one_of(bool, np.uint8, np.float16))
        data["index"] = data["index"].astype(draw.one_of(np.uint32, np.int16))

    return sound(draw, LeRobotEdits(columns=columns))


def _euler(order: str) -> Callable[[np.ndarray], np.ndarray]:
    from scipy.spatial.transform import Rotation

    def edit(state: np.ndarray) -> np.ndarray:
        state = state.copy()
        state[:, 3:6] = Rotation.from_rotvec(state[:, 3:6].astype(float)).as_euler(order)
        return state

    return edit


def _changed_state(change: Callable[[np.ndarray], np.ndarray], field: str, remedy: str = "") -> Callable[[Draw], Case]:
    def make(draw: Draw) -> Case:
        motions = draw.motions(2)
        lerobot(draw.folder / NAME, motions, LeRobotEdits(state=change))
        whole = read_all(motions)
        return Case("lerobot", mapping(), refused=dict.fromkeys(whole, field), remedy=remedy, remedied=whole)

    return make


def _millimetres(state: np.ndarray) -> np.ndarray:
    return np.concatenate([1000 * state[:, :3], state[:, 3:]], 1)


def _another_tool(state: np.ndarray) -> np.ndarray:
    pose = state.copy()
    turn = rotations.from_rotation_vector(pose[:, 3:6].astype(float))
    offset = rotations.rotate(turn, np.broadcast_to(np.array([0.0, 0.0, -0.1034]), (len(pose), 3)))
    pose[:, :3] += offset  # the flange of the hand in place of the point between the fingers
    return pose


def _gripper(closed: float, opened: float) -> LeRobotEdits:
    def columns(data: dict[str, np.ndarray]) -> None:
        data["action"][:, 6] = closed + (opened - closed) * data["action"][:, 6]

    return LeRobotEdits(columns=columns)


def _gripper_refused(draw: Draw) -> Case:
    closed, opened = draw.one_of((0, 255), (1, 0), (0, 0.08 * 1000))
    motions = draw.motions(2)
    lerobot(draw.folder / NAME, motions, _gripper(closed, opened))
    return Case(
        "lerobot", mapping(gripper_closed=0.0, gripper_open=1.0), refused=dict.fromkeys(read_all(motions), "gripper")
    )


def _gripper_declared(draw: Draw) -> Case:
    closed, opened = draw.one_of((0, 255), (1, 0), (-1, 1), (0, 0.08))
    return sound(draw, _gripper(closed, opened), gripper_closed=closed, gripper_open=opened)


def _joints_only(draw: Draw) -> Case:
    return sound(draw, position=None, rotation=None)


KINDS = [
    Kind("lerobot: timestamps", _rows("timestamp", _late_rows), _jitter),
    Kind(
        "lerobot: frame_index",
        _rows("frame_index", lambda draw, rows: draw.one_of(rows[::-1], rows + 1, 0 * rows, rows - 4)),
    ),
    Kind("lerobot: damaged rows", damaged_table(FIRST_DATA), _number_types),
    Kind("lerobot: holes in the rows", _holes_in_rows),
    Kind(
        "lerobot: Euler angles for a rotation vector",
        _changed_state(_euler("xyz"), "rotation|gripper_pose", "rotation_form"),
        lambda draw: sound(draw, LeRobotEdits(state=_euler("xyz")), rotation_form="euler_xyz"),
    ),
    Kind("lerobot: millimetres", _changed_state(_millimetres, "position|gripper_pose")),
    Kind(
        "lerobot: the hand's flange for its fingertips",
        _changed_state(_another_tool, "position|gripper_pose", "tool_in_gripper"),
    ),
    Kind("lerobot: gripper command", _gripper_refused, _gripper_declared),
    Kind("lerobot: another version", other_version, _joints_only),
]
