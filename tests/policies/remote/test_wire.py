"""Messages of the real servers are read, ours decode to the same maps, and nothing but numbers and texts is ever made of bytes."""

import io
import pickle
import zipfile

import msgpack
import numpy as np
import pytest

from ocrrl.policies.remote.wire import ModalityConfig, WireError, pack_gr00t, pack_openpi, unpack_gr00t, unpack_openpi
from tests.policies.remote.recorded_messages import FOLDER, recorded

GR00T = sorted(path.stem for path in FOLDER.glob("gr00t_*.bin"))
OPENPI = sorted(path.stem for path in FOLDER.glob("openpi_*.bin"))
MANY = {"n": 1, "none": None, "yes": True, "list": ["a", 2.5], "array": np.arange(6, dtype=np.float32).reshape(2, 3)}


def same(one, other):
    if isinstance(one, np.ndarray):
        assert isinstance(other, np.ndarray) and (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        assert one == other and type(one) is type(other)


@pytest.mark.parametrize(
    ("names", "pack", "unpack"), [(GR00T, pack_gr00t, unpack_gr00t), (OPENPI, pack_openpi, unpack_openpi)]
)
def test_every_recorded_message_is_read_and_written_to_the_same_map(names, pack, unpack):
    assert len(names) == {pack_gr00t: 20, pack_openpi: 4}[pack]
    for name in names:
        message = unpack(recorded(name))
        same(unpack(pack(message)), message)


def test_the_recorded_answers_hold_what_the_toy_behind_the_servers_answers():
    steps = np.arange(48.0).reshape(16, 3) / 1000
    single, batch = (unpack_gr00t(recorded(f"gr00t_n15_action_{name}.reply")) for name in ("single", "batch3"))
    np.testing.assert_array_equal(single["action.eef_position_delta"], steps)
    np.testing.assert_array_equal(single["action.eef_rotation_delta"], steps / 10)
    np.testing.assert_array_equal(batch["action.eef_position_delta"], np.arange(144.0).reshape(3, 16, 3) / 1000)
    actions, info = unpack_gr00t(recorded("gr00t_n16_action_batch3.reply"))
    np.testing.assert_array_equal(actions["gripper_position"], np.ones((3, 16, 1), np.float32))
    assert info == {"options": None}
    openpi = unpack_openpi(recorded("openpi_infer.reply"))
    np.testing.assert_array_equal(openpi["actions"], np.arange(112.0).reshape(16, 7) / 1000)
    assert unpack_openpi(recorded("openpi_metadata.reply")) == {"reset_pose": [0, 1.5]}


def test_both_forms_of_a_modality_are_read():
    old = unpack_gr00t(recorded("gr00t_n15_modality.reply"))
    new = unpack_gr00t(recorded("gr00t_n16_modality.reply"))
    assert old["video"] == ModalityConfig((0,), ("video.front", "video.wrist"), as_text=True)
    assert new["action"] == ModalityConfig(
        tuple(range(16)), ("eef_position_delta", "eef_rotation_delta", "gripper_position")
    )


@pytest.mark.parametrize(("pack", "unpack"), [(pack_gr00t, unpack_gr00t), (pack_openpi, unpack_openpi)])
def test_what_was_packed_comes_out_as_it_went_in_and_cannot_be_written_to(pack, unpack):
    message = unpack(pack(MANY))
    same(message, MANY)
    assert not message["array"].flags.writeable
    assert unpack(pack({"x": np.float64(2.5)}))["x"] == 2.5
    with pytest.raises(WireError, match="must hold maps, lists, texts, numbers"):
        pack({"x": object()})
    with pytest.raises(WireError):
        pack({"x": np.array([object()])})


@pytest.mark.parametrize(
    "array",
    [MANY["array"], MANY["array"].T, np.asfortranarray(MANY["array"]), np.float32(3), np.zeros((0, 7)), np.array(True)],
)
def test_an_array_for_gr00t_is_what_np_save_writes(array):
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array).reshape(array.shape))
    assert msgpack.unpackb(pack_gr00t({"x": array}))["x"]["as_npy"] == buffer.getvalue()


def fortran():
    buffer = io.BytesIO()
    np.save(buffer, np.asfortranarray(MANY["array"]))
    return buffer.getvalue()


def test_an_array_in_fortran_s_order_keeps_its_places():
    packed = msgpack.packb({"__ndarray_class__": True, "as_npy": fortran()})
    np.testing.assert_array_equal(unpack_gr00t(packed), MANY["array"])


class Harmful:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def npy_of_objects():
    buffer = io.BytesIO()
    np.save(buffer, np.array([Harmful()], object), allow_pickle=True)
    return msgpack.packb({"__ndarray_class__": True, "as_npy": buffer.getvalue()})


def torch_save():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Harmful()))
    return buffer.getvalue()


@pytest.mark.parametrize("data", [pickle.dumps({"a": 1}), torch_save(), b"ERROR"])
def test_a_server_that_speaks_in_pickles_is_refused_by_its_version(data):
    with pytest.raises(WireError, match=r"before the tag n1\.5-release .*torch\.save.*update the server"):
        unpack_gr00t(data)


HEADER = b"\x93NUMPY\x01\x00"
HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"


@pytest.mark.parametrize(
    ("unpack", "data"),
    [
        (unpack_gr00t, b""),
        (unpack_gr00t, b"not msgpack"),
        (unpack_gr00t, npy_of_objects()),
        (unpack_gr00t, msgpack.packb({"__ndarray_class__": True, "as_npy": "text"})),
        (unpack_gr00t, msgpack.packb({"__ndarray_class__": True, "as_npy": torch_save()})),
        (
            unpack_gr00t,
            msgpack.packb({"__ndarray_class__": True, "as_npy": HEADER + bytes([len(HUGE), 0]) + HUGE + b"12345678"}),
        ),
        (unpack_gr00t, msgpack.packb({"__ModalityConfig_class__": True, "as_json": "{"})),
        (unpack_gr00t, msgpack.packb({"__ModalityConfig_class__": True, "as_json": {"delta_indices": "all"}})),
        (unpack_openpi, msgpack.packb({b"__ndarray__": True, b"data": b"12", b"dtype": "<f8", b"shape": [1]})),
        (unpack_openpi, msgpack.packb({b"__ndarray__": True, b"data": b"", b"dtype": "|O", b"shape": [0]})),
        (unpack_openpi, msgpack.packb({b"__ndarray__": True, b"data": b"", b"dtype": "nonsense", b"shape": [0]})),
        (unpack_openpi, msgpack.packb({b"__ndarray__": True, b"data": b"", b"dtype": "<f4", b"shape": [-1, 0]})),
        (unpack_openpi, msgpack.packb({b"__npgeneric__": True, b"data": "text", b"dtype": "<f4"})),
    ],
)
def test_what_is_damaged_or_no_number_is_refused_before_memory_is_taken(unpack, data):
    with pytest.raises(WireError):
        unpack(data)
