"""A file that is none is named before anything opens it; nothing hangs, nothing leads out."""

import os

import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "recordings/monday"
    (root / "data").mkdir(parents=True)
    (root / "data/whole").write_bytes(b"content")
    (tmp_path / "elsewhere").write_bytes(b"secret")
    return DatasetFiles(root, tmp_path / "recordings")


def test_a_file_with_content_is_found_also_by_a_link_within_the_recordings(files):
    (files.root / "link").symlink_to("data/whole")
    (files.inside / "blob").write_bytes(b"blob")
    (files.root / "blob").symlink_to("../blob")
    for name in ("data/whole", "link", "blob"):
        assert files.find(name).read_bytes()


def pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda path: None, r"got nothing \(never written\)"),
        (pipe, "got a pipe"),
        (lambda path: path.mkdir(), "got a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "got a place outside recordings"),
        (lambda path: path.write_bytes(b""), r"got an empty file \(0 bytes"),
        (lambda path: path.symlink_to("nowhere"), "got a link that leads nowhere"),
        (lambda path: path.symlink_to(path.name), "got a path that cannot be read"),
        (lambda path: path.symlink_to("../../../elsewhere"), "got a place outside recordings"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "a Git LFS pointer",
        ),
        (lambda path: path.write_text("\n <!DOCTYPE HTML><title>Sign in</title>"), "got a web page"),
        (lambda path: path.write_text("<html>"), "got a web page"),
    ],
)
def test_what_is_no_file_is_named(files, make, got):
    make(files.root / "data/x")
    with pytest.raises(EpisodeRejected, match=got) as refused:
        files.find("data/x", "never written")
    assert refused.value.file == "data/x"


def test_a_file_behind_a_folder_that_leads_nowhere_is_named(files):
    (files.root / "meta").symlink_to("gone")
    with pytest.raises(EpisodeRejected, match="a link that leads nowhere"):
        files.find("meta/info.json")
    assert files.has("meta") and not files.has("meta/info.json")


@pytest.mark.parametrize("name", ["../../elsewhere", "data/../../../elsewhere", "x\0y", "x" * 300, "data/whole/x"])
def test_a_name_that_is_none_is_refused(files, name):
    with pytest.raises(EpisodeRejected, match="must be a readable file of the dataset"):
        files.find(name)


def test_an_absolute_path_is_refused(files):
    with pytest.raises(EpisodeRejected, match="a place outside"):
        files.find(str(files.root / "data/whole"))


def test_companions_of_macos_are_not_listed(files):
    (files.root / "data/._whole").write_bytes(b"x")
    (files.root / "data/dangling").symlink_to("nowhere")
    assert list(files.listed("data/*")) == ["data/dangling", "data/whole"]
