"""Each row gets the frame of its own time, whatever the codec; what is damaged or missing is refused for the rows that it hits."""

from fractions import Fraction

import av
import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.video_images import VideoReader
from tests.recordings.lerobot.recorded_dataset import FPS, encode, images

COUNT = 30
TIMES = np.arange(COUNT) / FPS


def reader(path, first_time=0.0, fps=FPS):
    return VideoReader(DatasetFiles(path.parent, path.parent), path.name, fps, first_time)


def frames_of(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def read(reader, times):
    return np.stack(list(reader.images("images.front", times)))


@pytest.mark.parametrize(
    ("codec", "pixels", "name", "options"),
    [
        ("h264", "yuv420p", "v.mp4", {}),
        ("h264", "yuv444p", "v.mp4", {"g": "2", "bf": "0"}),
        ("h264", "yuv420p", "v.mp4", {"g": "12", "bf": "3"}),
        ("hevc", "yuv420p", "v.mp4", {"g": "8", "x265-params": "log-level=none"}),
        ("libsvtav1", "yuv420p", "v.mp4", {"g": "2", "svtav1-params": "lp=1"}),
        ("ffv1", "bgr0", "v.mkv", {}),
        ("mpeg4", "yuv420p", "v.avi", {"g": "6"}),
    ],
)
def test_windows_of_a_video_are_read_in_any_order(tmp_path, codec, pixels, name, options):
    path = tmp_path / name
    encode(path, images(COUNT), codec=codec, pixels=pixels, **options)
    whole, video = frames_of(path), reader(path)
    for start, stop in ((0, 10), (10, 20), (20, 30), (5, 9), (0, 30), (29, 30), (11, 12)):
        np.testing.assert_array_equal(read(video, TIMES[start:stop]), whole[start:stop])


def test_windows_in_order_are_decoded_once(tmp_path, monkeypatch):
    path = tmp_path / "v.mp4"
    encode(path, images(COUNT), g="30")
    video, begun = reader(path), []
    monkeypatch.setattr(video, "_begin", lambda begin=video._begin: begun.append(1) or begin())
    for start in range(0, COUNT, 5):
        read(video, TIMES[start : start + 5])
    assert len(begun) == 1


def test_a_video_that_begins_late_begins_with_its_first_episode(tmp_path):
    encode(tmp_path / "v.mkv", images(COUNT), start=4)
    whole = frames_of(tmp_path / "v.mkv")
    np.testing.assert_array_equal(read(reader(tmp_path / "v.mkv"), TIMES), whole)
    np.testing.assert_array_equal(read(reader(tmp_path / "v.mkv", 0.2), TIMES[4:]), whole[: COUNT - 4])


def test_a_rate_of_29_97_is_one(tmp_path):
    encode(tmp_path / "v.mp4", images(COUNT), fps=Fraction(30000, 1001))
    assert len(read(reader(tmp_path / "v.mp4", fps=29.97), np.arange(COUNT) / 29.97)) == COUNT


@pytest.mark.parametrize(
    ("fps", "message"),
    [
        (
            40,
            r"images.front must be one image for each row, got 2 .*\(the video runs at 40 frames a second, fps .* 20\)",
        ),
        (10, r"images.front must be .*\(the video runs at 10 frames a second, fps in meta/info.json says 20\)"),
    ],
)
def test_another_rate_is_refused_with_both(tmp_path, fps, message):
    encode(tmp_path / "v.mp4", images(COUNT), fps=fps)
    with pytest.raises(EpisodeRejected, match=message):
        read(reader(tmp_path / "v.mp4"), TIMES[:14])


def test_a_rate_that_drifts_is_refused_where_a_row_has_no_image_of_its_own(tmp_path):
    encode(tmp_path / "v.mp4", np.concatenate([images(COUNT)] * 30), fps=Fraction(30000, 1001))
    with pytest.raises(EpisodeRejected, match=r"runs at 29.97 frames a second, fps in meta/info.json says 30"):
        read(reader(tmp_path / "v.mp4", fps=30), np.arange(COUNT * 30) / 30)


def test_frames_that_are_missing_hit_the_rows_that_they_belong_to(tmp_path):
    encode(tmp_path / "v.mp4", images(20), g="4", bf="0")
    video = reader(tmp_path / "v.mp4")
    assert len(read(video, TIMES[:20])) == 20
    with pytest.raises(
        EpisodeRejected, match=r"images.front must be an image for each of 15 rows, got none for row 5"
    ) as r:
        read(video, TIMES[15:])
    assert r.value.file == "v.mp4"


@pytest.mark.parametrize(("codec", "name"), [("h264", "v.mp4"), ("ffv1", "v.mkv")])
def test_damage_hits_the_rows_up_to_the_next_key_frame(tmp_path, codec, name):
    path = tmp_path / name
    options = {"g": "5", "bf": "0"} if codec == "h264" else {"level": "3", "slicecrc": "1"}
    encode(path, images(COUNT), codec=codec, pixels="yuv444p", **options)
    whole = frames_of(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    hit = next(packet for packet in packets if packet.pts * packet.time_base == Fraction(11, FPS))
    raw = bytearray(path.read_bytes())
    raw[hit.pos + 8 : hit.pos + hit.size] = b"\xff" * (hit.size - 8)
    path.write_bytes(raw)
    video = reader(path)
    with pytest.raises(EpisodeRejected, match=r"images.front must be"):
        read(video, TIMES[10:15])
    for start, stop in ((0, 10), (15, 30)):
        np.testing.assert_array_equal(read(video, TIMES[start:stop]), whole[start:stop])


@pytest.mark.parametrize(
    ("codec", "pixels", "name", "got"),
    [
        ("ffv1", "gray16le", "v.mkv", r"16 bit with one channel, gray16le \(depth\?\)"),
        ("ffv1", "gray", "v.mkv", "8 bit with one channel, gray"),
        ("ffv1", "yuva420p", "v.mkv", r"8 bit with 4 channels \(alpha\)"),
        ("hevc", "yuv420p10le", "v.mp4", "10 bit with 3 channels"),
    ],
)
def test_what_is_no_8_bit_colour_is_named(tmp_path, codec, pixels, name, got):
    options = {"x265-params": "log-level=none"} if codec == "hevc" else {}
    encode(tmp_path / name, images(8), codec=codec, pixels=pixels, **options)
    with pytest.raises(EpisodeRejected, match=f"images.front must be 8 bit RGB, got {got}"):
        read(reader(tmp_path / name), TIMES[:8])


def test_a_playlist_opens_nothing(tmp_path):
    encode(tmp_path / "v.ts", images(8), codec="mpeg4")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/v.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "v.mp4").write_text(playlist)
    (tmp_path / "w.mp4").write_text(f"ffconcat version 1.0\nfile '{tmp_path}/v.ts'\n")
    for name in ("v.mp4", "w.mp4"):
        with pytest.raises(EpisodeRejected, match="file must be a whole video"):
            read(reader(tmp_path / name), TIMES[:2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-300], "file must be a whole video, got .*killed, or a copy that was cut short"),
        (lambda raw: raw[:100], "file must be a whole video"),
        (lambda raw: b"\0" * len(raw), "file must be a whole video"),
        (lambda raw: b"", "must be a readable file of the dataset, got an empty file"),
    ],
)
def test_a_file_that_is_no_whole_video_is_named(tmp_path, damage, message):
    path = tmp_path / "v.mp4"
    encode(path, images(8))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EpisodeRejected, match=message) as refused:
        read(reader(path), TIMES[:2])
    assert refused.value.file == "v.mp4"


def test_a_file_of_sound_only_is_named(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("aac", 8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(EpisodeRejected, match="file must be a video, got a file without images"):
        read(reader(tmp_path / "v.mp4"), TIMES[:2])
