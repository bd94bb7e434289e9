"""A path of info.json is filled in with numbers and keys, and nothing else can be asked of it."""

import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_info import PathTemplate


def test_numbers_are_filled_in():
    path = PathTemplate("video_path", "videos/{video_key}/chunk-{chunk_index:03d}/{file_index}-{file_index:d}.mp4")
    assert path.filled(video_key="a.b", chunk_index=7, file_index=1234) == "videos/a.b/chunk-007/1234-1234.mp4"


@pytest.mark.parametrize(
    "text",
    [
        "{x.__class__}",
        "{chunk_index.__class__.__mro__}",
        "{chunk_index[0]}",
        "{chunk_index!r}",
        "{chunk_index:099999999d}",
        "{chunk_index:999}",
        "{chunk_index:03d",
        "{{chunk_index}}",
        "{}",
        "{0}",
        "{chunk_index:>{file_index}}",
    ],
)
def test_other_format_strings_are_refused(text):
    with pytest.raises(EpisodeRejected, match=r"data_path must be a path with \{name\} or \{name:03d\}"):
        PathTemplate("data_path", f"data/{text}.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data/{episode}.parquet", "data_path must be a path of chunk_index, video_key, got {episode}"),
        ("../{chunk_index}.parquet", "data_path must be inside the dataset"),
        ("/etc/{chunk_index}", "data_path must be inside the dataset"),
        ("data/{video_key}/x", "data_path must be inside the dataset"),
        ("data/\n\x1b[2J", "data_path must be inside the dataset"),
    ],
)
def test_a_path_out_of_the_dataset_is_refused(text, message):
    with pytest.raises(EpisodeRejected, match=message):
        PathTemplate("data_path", text).filled(chunk_index=0, video_key="../../x")
