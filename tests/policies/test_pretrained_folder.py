"""Where pretrained weights may lie, and what is said where they do not."""

import pytest

from ocrrl.policies.lerobot_learner import pretrained_folder


def test_a_folder_here_is_taken(tmp_path):
    assert pretrained_folder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["./models/base", "/nowhere/base", "base", "a/b/c", "../x/y", "org/na me"])
def test_a_folder_that_is_not_there_is_named_without_asking_the_hub(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: pytest.fail("the hub was asked"))
    with pytest.raises(
        FileNotFoundError, match=r"policy\.pretrained_path must be the folder of a checkpoint, or ORG/NAME"
    ):
        pretrained_folder(name)


def test_a_file_in_its_place_and_what_is_no_text_are_refused(tmp_path):
    (tmp_path / "weights").write_text("")
    with pytest.raises(FileNotFoundError, match="which is a file"):
        pretrained_folder(str(tmp_path / "weights"))
    for wrong in (3, "", None, ["a/b"]):
        with pytest.raises(ValueError, match="must be a folder or a name on the Hugging Face hub"):
            pretrained_folder(wrong)


def test_a_name_that_neither_this_machine_nor_the_hub_has_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match="got 'nobody/nothing': no such folder here, and the hub says:"
    ) as refused:
        pretrained_folder("nobody/nothing")
    assert "\n" not in str(refused.value)


def test_files_that_can_run_are_not_fetched_unless_they_are_allowed(monkeypatch, tmp_path):
    asked = []

    def fetched(name, revision=None, allow_patterns=None):
        asked.append(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetched)
    assert pretrained_folder("lab/vla") == tmp_path
    pretrained_folder("lab/vla", allow_remote_code=True)
    assert "*.py" not in asked[0] and "*.py" in asked[1] and not any("bin" in pattern for pattern in asked[1])
