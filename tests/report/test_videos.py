import io

import av
import numpy as np
import pytest

from ocrrl.report.strips import BAND, GAP, LAST_FRAME_HELD, PANEL, Clip, encode_video, side_by_side


def clip(steps, success, shade=90):
    return Clip("base", np.full((steps, 8, 8, 3), shade, np.uint8), success)


def test_a_video_holds_the_frames_at_their_rate():
    frames = np.zeros((12, 32, 48, 3), np.uint8)
    frames[6:] = 200
    with av.open(io.BytesIO(encode_video(frames, 20))) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 20)
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(decoded) == 12
    assert decoded[0].shape == (32, 48, 3)
    assert decoded[2].mean() < 20 and abs(decoded[10].mean() - 200) < 20


def test_the_same_frames_give_the_same_bytes():
    frames = np.random.default_rng(0).integers(0, 255, (10, 64, 64, 3), dtype=np.uint8)
    assert encode_video(frames, 20) == encode_video(frames.copy(), 20)


@pytest.mark.wrong_shapes
@pytest.mark.parametrize("shape, match", [((0, 8, 8, 3), "T >= 1"), ((2, 8, 8), "T, H, W, 3"), ((2, 7, 8, 3), "even")])
def test_frames_that_cannot_be_encoded_are_refused(shape, match):
    with pytest.raises(ValueError, match=match):
        encode_video(np.zeros(shape, np.uint8), 20)


def test_videos_stand_beside_each_other_and_the_shorter_waits():
    frames = side_by_side([clip(3, True), clip(7, False, shade=200)])
    assert frames.shape == (7 + LAST_FRAME_HELD, PANEL + 2 * BAND, 2 * PANEL + GAP, 3)
    middle = BAND + PANEL // 2
    assert (frames[:, middle, PANEL // 2] == 90).all()
    assert (frames[:, middle, PANEL + GAP + PANEL // 2] == 200).all()


def test_success_is_framed_green_and_failure_red_once_over():
    frames = side_by_side([clip(3, True), clip(7, False)])
    left, right = frames[:, BAND + 1, 1].astype(int), frames[:, BAND + 1, PANEL + GAP + 1].astype(int)
    assert (left[:3] == 90).all() and (right[:7] == 90).all()
    assert (left[3:, 1] > left[3:, 0]).all()
    assert (right[7:, 0] > right[7:, 1]).all()


def test_no_video_is_refused():
    with pytest.raises(ValueError, match="at least one video"):
        side_by_side([])
