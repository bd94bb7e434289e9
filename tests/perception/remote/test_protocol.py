"""What is sent is what arrives, and nothing malformed is believed."""

import msgpack
import numpy as np
import pytest

from ocrrl.perception.remote.protocol import (
    MAX_REPLY_BYTES,
    MAX_REQUEST_BYTES,
    ErrorReply,
    PoseReply,
    PoseRequest,
    ProtocolError,
    pack_reply,
    pack_request,
    unpack_reply,
    unpack_request,
)
from tests.perception.remote.pose_server import HEIGHT, WIDTH, frame_at

POSE = np.array([0.1, -0.2, 0.7, 0.5, -0.5, 0.5, 0.5])


def request(kind="register"):
    frame, mask = frame_at(1.25), np.zeros((HEIGHT, WIDTH), bool)
    mask[10:20, 30:40] = True
    return PoseRequest(
        kind=kind,
        session="s",
        object_name="cuboid",
        colour=frame.colour,
        depth=frame.depth,
        intrinsics=frame.intrinsics,
        captured=frame.captured,
        mask=mask if kind == "register" else None,
    )


def changed(message: bytes, **fields) -> bytes:
    """`message` with other `fields`; None takes one out."""
    values = msgpack.unpackb(message) | fields
    return msgpack.packb({name: value for name, value in values.items() if value is not None})


@pytest.mark.parametrize("kind", ["register", "track"])
def test_a_request_arrives_as_it_was_sent(kind):
    sent, got = request(kind), unpack_request(pack_request(request(kind)))
    assert (got.kind, got.session, got.object_name, got.captured) == (kind, "s", "cuboid", 1.25)
    assert got.intrinsics == sent.intrinsics
    np.testing.assert_array_equal(got.colour, sent.colour)
    np.testing.assert_array_equal(got.depth, sent.depth)
    assert got.depth.dtype == np.float32
    if kind == "register":
        np.testing.assert_array_equal(got.mask, sent.mask)
    else:
        assert got.mask is None


def test_depth_in_millimetres_is_within_half_of_one():
    got = unpack_request(pack_request(request(), "uint16_mm"))
    np.testing.assert_allclose(got.depth, request().depth, atol=0.0005 + 1e-6)


def test_replies_arrive_as_they_were_sent():
    got = unpack_reply(pack_reply(PoseReply(POSE, 12.5, 0.002)))
    np.testing.assert_array_equal(got.pose, POSE)
    assert (got.score, got.seconds) == (12.5, 0.002)
    assert unpack_reply(pack_reply(ErrorReply("failed", "no depth"))) == ErrorReply("failed", "no depth")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"version": 2}, "request.version must be 1, got 2"),
        ({"version": True}, "request.version must be 1, got True"),
        ({"kind": "guess"}, "request.kind must be one of register, track, got 'guess'"),
        ({"session": ""}, "request.session must be a text of 1 to 80 characters, got 0 characters"),
        ({"object": 7}, "request.object must be a text of 1 to 80 characters, got int"),
        ({"height": 10**9}, "request.height must be a whole number from 1 to 4096, got 1000000000"),
        ({"width": 64.0}, "request.width must be a whole number from 1 to 4096, got 64.0"),
        ({"colour": b"abc"}, "request.colour must be 9216 bytes for (48, 64, 3) of uint8, got 3 bytes"),
        ({"colour": None}, "request.colour must be there, got nothing"),
        ({"depth": "far"}, "request.depth must be 12288 bytes for (48, 64) of float32, got str"),
        ({"depth": np.full((HEIGHT, WIDTH), np.nan, "<f4").tobytes()}, "request.depth must be finite"),
        ({"depth_code": "feet"}, "request.depth_code must be one of float32_m, uint16_mm, got 'feet'"),
        ({"intrinsics": [1.0, 2.0]}, "request.intrinsics must be a list of 4 numbers, got 2"),
        ({"intrinsics": [0.0, 1.0, 2.0, 3.0]}, "request.intrinsics must be of focal lengths above 0"),
        ({"captured": float("inf")}, "request.captured must be finite numbers, got inf"),
        ({"mask": None}, "request.mask must be there, got nothing"),
        ({"mask": bytes(HEIGHT * WIDTH)}, "request.mask must be of at least one pixel, got none"),
        ({"mask": b"\x02" * HEIGHT * WIDTH}, "request.mask must be 0 or 1, got 2"),
        ({"kind": "track"}, "request.mask must be left out of track, got one"),
        ({"shell": "rm"}, "request must be of the fields"),
    ],
)
def test_a_malformed_request_is_refused_by_field(fields, error):
    with pytest.raises(ProtocolError) as refused:
        unpack_request(changed(pack_request(request()), **fields))
    assert str(refused.value).startswith(error)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"version": None}, "reply.version must be 1, got None"),
        ({"pose": None}, "reply.pose must be there, got nothing"),
        ({"pose": [0.0] * 6}, "reply.pose must be a list of 7 numbers, got 6"),
        ({"pose": [0.0] * 6 + [float("nan")]}, "reply.pose must be finite numbers, got nan"),
        ({"pose": [0.0] * 6 + [True]}, "reply.pose must be finite numbers, got True"),
        (
            {"pose": [0.0] * 3 + [2.0, 0.0, 0.0, 0.0]},
            "reply.pose must be of a unit quaternion (wxyz), got a norm of 2.0",
        ),
        ({"pose": [700.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]}, "reply.pose must be in metres, within 10 m of the camera"),
        ({"score": "good"}, "reply.score must be finite numbers, got 'good'"),
        ({"seconds": None}, "reply.seconds must be there, got nothing"),
        ({"extra": 1}, "reply must be of the fields"),
        ({"error": "both"}, "reply must be of the fields code, error, version"),
    ],
)
def test_a_malformed_reply_is_refused_by_field(fields, error):
    with pytest.raises(ProtocolError) as refused:
        unpack_reply(changed(pack_reply(PoseReply(POSE, 1.0, 0.1)), **fields))
    assert str(refused.value).startswith(error)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x81",
        msgpack.packb([1, 2]),
        msgpack.packb({1: 2}),
        msgpack.packb({"version": msgpack.ExtType(4, b"x")}),
    ],
)
def test_what_is_no_map_of_names_is_refused(message):
    for unpack in (unpack_request, unpack_reply):
        with pytest.raises(ProtocolError):
            unpack(message)


def test_an_oversize_message_is_refused_before_it_is_read():
    with pytest.raises(ProtocolError, match=f"reply must be at most {MAX_REPLY_BYTES} bytes"):
        unpack_reply(bytes(MAX_REPLY_BYTES + 1))
    with pytest.raises(ProtocolError, match=f"request must be at most {MAX_REQUEST_BYTES} bytes"):
        unpack_request(bytes(MAX_REQUEST_BYTES + 1))
