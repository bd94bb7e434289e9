"""The server's poses reach the contract canonical and in the base frame; confidence is the verifier's, and time is kept."""

import threading
import time

import msgpack
import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.perception.remote.client import RemoteTracker, RemoteTrackerConfig
from ocrrl.perception.remote.protocol import MAX_REPLY_BYTES, PoseReply, pack_reply
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.pick_and_place import TASK as PICK_AND_PLACE
from tests.perception.remote.pose_server import (
    HEIGHT,
    ROBOT,
    WIDTH,
    ScriptedBackend,
    answering,
    frame_at,
    in_camera,
    running,
)

POSE = np.array([0.5, 0.1, 0.02, 1.0, 0.0, 0.0, 0.0])
BOWL = np.array([0.45, -0.2, 0.03, 1.0, 0.0, 0.0, 0.0])
TIMEOUT = 0.4


class Masks:
    def __init__(self):
        self.asked, self.seen = [], True

    def mask(self, frame, object_index, robot):
        self.asked.append(object_index)
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[: 4 + object_index] = True
        return mask if self.seen else None


class Rig:
    """A tracker, what it is given, and what it asks of its verifier."""

    def __init__(self, address, task=CUBE_LIFT, **config):
        self.masks, self.confidence, self.verified = Masks(), 0.9, []
        config = {"timeout": TIMEOUT, "register_timeout": 1.0, "retry_after": 0.2} | config
        self.tracker = RemoteTracker(task, self.masks, self.verify, RemoteTrackerConfig(address=address, **config))
        self.time = 0.0

    def verify(self, frame, robot, poses, known):
        self.verified.append((known.tolist(), poses.copy()))
        return np.full(len(poses), self.confidence)

    def track(self, after=0.033):
        self.time += after
        return self.tracker.track(frame_at(self.time), ROBOT)


@pytest.fixture
def rig(request):
    """Against a scripted server of a cuboid and a bowl."""
    backend = ScriptedBackend({"cuboid": in_camera(POSE), "bowl": in_camera(BOWL)})
    with running(backend) as address:
        rig = Rig(address, **getattr(request, "param", {}))
        rig.backend = backend
        yield rig
        rig.tracker.close()


def test_poses_come_back_in_the_base_frame_to_a_micrometre(rig):
    for _ in range(3):
        estimate = rig.track()
        np.testing.assert_allclose(estimate.poses[0], POSE, atol=1e-6)
        assert estimate.captured == rig.time and estimate.confidence.tolist() == [0.9]
    assert [request.kind for request in rig.backend.requests] == ["register", "track", "track"]
    np.testing.assert_array_equal(rig.backend.requests[2].depth, frame_at(rig.time).depth)
    assert rig.masks.asked == [0], "a mask is for registering only"


@pytest.mark.parametrize("rig", [{"task": PICK_AND_PLACE}], indirect=True)
def test_every_object_is_registered_with_its_own_mask_and_tracked(rig):
    rig.track()
    estimate = rig.track()
    np.testing.assert_allclose(estimate.poses, [POSE, BOWL], atol=1e-6)
    assert [(r.kind, r.object_name) for r in rig.backend.requests] == [
        ("register", "cuboid"),
        ("register", "bowl"),
        ("track", "cuboid"),
        ("track", "bowl"),
    ]
    assert [int(r.mask.sum()) for r in rig.backend.requests[:2]] == [4 * WIDTH, 5 * WIDTH]


@pytest.mark.parametrize("rig", [{"task": PICK_AND_PLACE}], indirect=True)
def test_the_verifier_is_shown_all_poses_of_a_frame_at_once_and_which_are_of_it(rig):
    rig.track()
    known, shown = rig.verified[-1]
    assert known == [True, True] and len(rig.verified) == 1
    np.testing.assert_allclose(shown, [POSE, BOWL], atol=1e-6)
    del rig.backend.poses["bowl"]
    assert rig.track().confidence.tolist() == [0.9, 0.0]
    assert rig.verified[-1][0] == [True, False]


def test_any_symmetric_pose_becomes_the_canonical_one_and_stays_continuous(rig):
    flip = np.array([0.0, 0.0, 0.0, 1.0])  # of a cuboid about its z
    turned = np.concatenate([POSE[:3], rotations.from_rotation_vector(np.array([0.0, 0.0, 0.2]))])
    for pose in (POSE, turned):
        for quaternion in (pose[3:], -pose[3:], rotations.multiply(pose[3:], flip)):
            rig.backend.poses["cuboid"] = in_camera(np.concatenate([pose[:3], quaternion]))
            np.testing.assert_allclose(rig.track().poses[0], pose, atol=1e-6)


def test_the_verifier_s_word_counts_and_not_the_estimator_s_score(rig):
    rig.backend.score, rig.confidence = 1e6, 0.1
    assert rig.track().confidence.tolist() == [0.1]
    rig.backend.score, rig.confidence = -1e6, 0.8
    assert rig.track().confidence.tolist() == [0.8]
    assert rig.tracker.raw_scores.tolist() == [-1e6]
    np.testing.assert_allclose(rig.verified[-1][1], [POSE], atol=1e-6)


def test_a_doubtful_pose_does_not_move_the_canonical_reference(rig):
    rig.track()
    rig.confidence = 0.2
    rig.backend.poses["cuboid"] = in_camera(
        np.concatenate([POSE[:3], rotations.from_rotation_vector(np.array([0.0, 0.0, 1.5]))])
    )
    rig.track()
    rig.confidence = 0.9
    rig.backend.poses["cuboid"] = in_camera(POSE)
    np.testing.assert_allclose(rig.track().poses[0], POSE, atol=1e-6)


def test_an_object_that_is_not_seen_is_lost_until_it_is(rig):
    rig.masks.seen = False
    assert rig.track().confidence.tolist() == [0.0] and rig.backend.requests == []
    rig.masks.seen = True
    assert rig.track().confidence.tolist() == [0.9]


@pytest.mark.parametrize("rig", [{"reregister_after": 3}], indirect=True)
def test_a_track_that_stays_doubtful_is_registered_anew(rig):
    rig.track()
    rig.confidence = 0.1
    for _ in range(4):
        rig.track()
    assert [request.kind for request in rig.backend.requests] == ["register", "track", "track", "track", "register"]


def test_a_reset_forgets_the_objects(rig):
    rig.track()
    rig.tracker.reset()
    rig.track()
    first, second = rig.backend.requests
    assert first.kind == second.kind == "register" and first.session != second.session


def test_a_stall_costs_confidence_and_not_more_time_than_the_timeout(rig):
    rig.track()
    stalled = threading.Event()
    rig.backend.before = lambda: stalled.wait(2.0)
    begun = time.monotonic()
    lost = rig.track()
    assert time.monotonic() - begun < TIMEOUT + 0.6
    assert lost.confidence.tolist() == [0.0] and "answer in time" in rig.tracker.trouble
    np.testing.assert_allclose(lost.poses[0], POSE, atol=1e-6, err_msg="the last pose stays")
    begun = time.monotonic()
    rig.track()
    assert time.monotonic() - begun < TIMEOUT / 2, "a silent server is given time and not asked again"
    stalled.set()
    rig.backend.before = lambda: None
    assert rig.track(after=0.3).confidence.tolist() == [0.9]
    assert rig.masks.asked == [0], "nothing was registered anew"


def test_a_server_that_dies_and_returns_is_registered_with_again():
    backend = ScriptedBackend({"cuboid": in_camera(POSE)})
    with running(backend) as address:
        rig = Rig(address)
        assert rig.track().confidence.tolist() == [0.9]
    assert rig.track().confidence.tolist() == [0.0]
    with running(ScriptedBackend({"cuboid": in_camera(POSE)}), address):
        seen = [rig.track(after=0.3) for _ in range(3)]
        assert seen[0].confidence.tolist() == [0.0] and "not_registered" in rig.tracker.trouble
        assert [estimate.confidence[0] for estimate in seen[1:]] == [0.9, 0.9]
        rig.tracker.close()


def test_no_server_at_all_costs_the_timeout_only():
    rig = Rig("tcp://127.0.0.1:1", register_timeout=TIMEOUT)
    begun = time.monotonic()
    assert rig.track().confidence.tolist() == [0.0]
    assert time.monotonic() - begun < TIMEOUT + 0.6
    rig.tracker.close()


def test_a_failure_of_the_estimator_is_told_and_costs_that_frame_only(rig):
    def fail():
        raise RuntimeError("no depth in the mask")

    rig.track()
    rig.backend.before = fail
    assert rig.track().confidence.tolist() == [0.0]
    assert rig.tracker.trouble == "cuboid: failed: track of cuboid: no depth in the mask"
    rig.backend.before = lambda: None
    assert rig.track().confidence.tolist() == [0.9]


GOOD = pack_reply(PoseReply(in_camera(POSE), 1.0, 0.1))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"garbage",
        msgpack.packb({"version": 9}),
        msgpack.packb({"version": 1, "pose": [0.0] * 7, "score": 1.0, "seconds": 0.1}),
        msgpack.packb({"version": 1, "code": "coffee", "error": "teapot"}),
        msgpack.packb({"version": 1, "pose": [0.1] * 10**3, "score": 1.0, "seconds": 0.1}),
    ],
)
def test_a_malformed_reply_is_a_lost_frame_and_the_next_good_one_counts(message):
    said = [message]
    with answering(lambda _: said[0]) as address:
        rig = Rig(address)
        assert rig.track().confidence.tolist() == [0.0]
        assert "must be" in rig.tracker.trouble
        said[0] = GOOD
        assert rig.track().confidence.tolist() == [0.9]
        rig.tracker.close()


def test_an_oversize_reply_is_cut_off_and_costs_the_timeout():
    with answering(lambda _: bytes(4 * MAX_REPLY_BYTES)) as address:
        rig = Rig(address, register_timeout=TIMEOUT)
        assert rig.track().confidence.tolist() == [0.0] and "answer in time" in rig.tracker.trouble
        rig.tracker.close()


def test_a_verifier_that_gives_no_probability_is_an_error(rig):
    rig.confidence = 1.5
    with pytest.raises(ValueError, match=r"confidence in cuboid must be in \[0, 1\], got 1.5"):
        rig.track()


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"timeout": 0.0}, "timeout must be a time above 0"),
        ({"reregister_after": 0}, "reregister_after must be at least 1"),
        ({"address": "5555"}, "address must be like tcp"),
        ({"depth_code": "feet"}, "depth_code must be one of float32_m, uint16_mm"),
    ],
)
def test_a_wrong_configuration_is_refused(config, error):
    with pytest.raises(ValueError, match=error):
        RemoteTrackerConfig(**config)
