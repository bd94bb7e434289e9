import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.hub import upload as upload_module
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from tests.episodes.toy_episodes import contents
from tests.hub.conftest import DATASET, MODEL, RECORDINGS
from tests.hub.stand_in_hub import EXPIRED, READER, TOKEN
from tests.pipeline_copy import ROOT

pytest.importorskip("mlcroissant")


@pytest.fixture
def pushed(lab, hub, capsys):
    """Writes the card and pushes; the exit code and what was said."""

    def push(path, *options, licence="apache-2.0"):
        if licence:
            assert main(["card", path, "--license", licence]) == 0
        capsys.readouterr()
        code = main(["push", path, "--to", "lab/cube", *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return push


def test_a_dataset_is_one_commit_with_card_lineage_croissant_and_tag(pushed, hub, lab, tmp_path):
    code, said, _ = pushed(DATASET)
    assert code == 0
    repository = hub.repositories["dataset", "lab/cube"]
    assert (
        len(repository.commits) == 2 and repository.private and repository.tags == {"v3.0": repository.commits[-1][0]}
    )
    local = contents(lab / DATASET)
    lineage = json.loads(repository.files["lineage.json"])
    assert lineage["path"] == DATASET and [stage["address"] for stage in lineage["stages"]] == ["ingest@cube_lift"]
    added = {"README.md", "lineage.json", "croissant.json"}
    assert {name: repository.files[name] for name in local} == local
    assert set(repository.files) == {*local, *added, ".gitattributes"}
    assert f"lab/cube (private dataset): {len(local) + 3} files" in said and repository.commits[-1][0] in said


def test_what_was_pushed_comes_back_byte_for_byte(pushed, hub, lab, tmp_path):
    from huggingface_hub import snapshot_download

    code, said, _ = pushed(MODEL, "--public")
    assert code == 0 and '"datasets[0]" is not valid' in said.splitlines()[0]
    assert not hub.repositories["model", "lab/cube"].private
    back = snapshot_download("lab/cube", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    shutil.copytree(back, tmp_path / "back")
    for name in ("README.md", "lineage.json", ".gitattributes"):
        (tmp_path / "back" / name).unlink()
    assert path_hash(tmp_path / "back", tmp_path, Ignored()) == path_hash(lab / MODEL, lab, Ignored())


def test_croissant_reads_the_dataset_s_frames_and_episodes(pushed, hub, lab):
    import mlcroissant as mlc

    assert pushed(DATASET)[0] == 0
    document = json.loads(hub.repositories["dataset", "lab/cube"].files["croissant.json"])
    dataset = mlc.Dataset(jsonld=document, mapping={"repository": str(lab / DATASET)})
    assert not dataset.metadata.ctx.issues.errors
    episodes = list(dataset.records("episodes"))
    assert [row["episodes/source"] for row in episodes] == ["episode_000000.h5", "episode_000001.h5"]
    assert len(next(iter(dataset.records("frames")))["frames/action"]) == 7
    assert document["license"] == "https://choosealicense.com/licenses/apache-2.0/"
    assert "operator" not in str(document) and "a simulated stand-in" in document["description"]


def test_recordings_are_pushed_as_a_dataset_without_a_tag(pushed, hub):
    assert pushed(RECORDINGS)[0] == 0
    repository = hub.repositories["dataset", "lab/cube"]
    assert {"episode_000000.h5", "croissant.json"} <= set(repository.files) and not repository.tags
    card = repository.files["README.md"].decode()
    assert "| successful episodes | 2 of 2 " in card and "**cell: twin.**" in card


def test_the_same_push_again_makes_no_second_commit(pushed, hub):
    assert pushed(MODEL)[0] == 0 and pushed(MODEL)[0] == 0
    assert len(hub.repositories["model", "lab/cube"].commits) == 2


def test_files_that_the_push_does_not_bring_are_a_reason_to_refuse(pushed, hub):
    assert pushed(MODEL)[0] == 0
    repository = hub.repositories["model", "lab/cube"]
    repository.files["thesis.pdf"] = b"years of work"
    code, _, said = pushed(MODEL)
    assert code == 1 and "got 1 other files (thesis.pdf)" in said and "--replace" in said
    assert "thesis.pdf" in repository.files
    assert pushed(MODEL, "--replace")[0] == 0 and "thesis.pdf" not in repository.files


def test_nothing_is_sent_without_a_card_or_a_licence(pushed, hub, lab):
    code, _, said = pushed(MODEL, licence="")
    assert code == 1 and "vla_real-round0-cube_lift.md must be the card of data/vla_real" in said
    assert "`ocrrl card data/vla_real/round0/cube_lift --license ID` writes it" in said
    assert main(["card", MODEL]) == 0
    code, _, said = pushed(MODEL, licence="")
    assert code == 1 and "license must be named, got none" in said
    assert not hub.asked


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text.replace("license: apache-2.0", "license: unknown"), "license must be a hub's identifier"),
        (lambda text: text.replace("license: apache-2.0", "license: other"), "must come with license_name"),
        (lambda text: text.replace("cell: twin", "cell: fr3"), "cell must name twin, got fr3 without twin"),
        (lambda text: text.replace("cell: twin\n", "cell: ''\n"), "cell must name where it comes from"),
        (lambda text: text.replace("no real robot was involved", "done with care"), "must say that twin is simulated"),
        (lambda text: text.replace("dvc_hash: ", "dvc_hash: 00"), "it describes another version"),
        (lambda text: text.partition("## Limits")[0], "got none or an empty Limits"),
        (lambda text: text.replace("---", "", 1), "must begin with front matter"),
        (lambda text: text + "\x00\udcff", "must be UTF-8 text"),
    ],
)
def test_a_card_that_is_not_whole_is_refused(pushed, hub, lab, edit, said):
    assert main(["card", MODEL, "--license", "apache-2.0"]) == 0
    card = lab / "data/cards/vla_real-round0-cube_lift.md"
    card.write_bytes(edit(card.read_text()).encode("utf-8", "surrogateescape"))
    code, _, line = pushed(MODEL, licence="")
    assert code == 1 and said in line and line.count("\n") == 1 and not hub.asked


def test_a_tampered_byte_is_not_published(pushed, hub, lab):
    weights = lab / MODEL / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    code, _, said = pushed(MODEL)
    assert code == 1 and "must be as DVC recorded it" in said and "`ocrrl lineage" in said and not hub.asked


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (EXPIRED, "got one that is expired or revoked"),
        (READER, "the token must be allowed to write lab/cube, it is not"),
        ("", "a token must be there"),
    ],
)
def test_a_token_that_does_not_do_is_said_with_the_next_step(pushed, hub, monkeypatch, tmp_path, token, said):
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no_token"))
    code, _, line = pushed(MODEL)
    assert code == 1 and said in line and "nothing was committed" in line and line.count("\n") == 1
    assert TOKEN not in line and (not token or token not in line)


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        ({"PUT /lfs": 403}, "it is not (as the test wants it)"),
        ({"PUT /lfs": "drop"}, "must answer, got"),
        ({"/commit/": 412}, "somebody else committed"),
        ({"/commit/": 507}, "it answers 507 (as the test wants it): run it again later"),
        ({"/commit/": "drop"}, "whether the commit arrived is not known: run the same command again"),
    ],
)
def test_nothing_half_uploaded_is_called_done(pushed, hub, fail, said):
    hub.fail = fail
    code, out, line = pushed(MODEL)
    assert code == 1 and said in line and "one commit" not in out and line.count("\n") == 1
    assert len(hub.repositories["model", "lab/cube"].commits) == 1
    hub.fail = {}
    assert pushed(MODEL)[0] == 0 and len(hub.repositories["model", "lab/cube"].commits) == 2


def test_a_tag_that_fails_is_said_and_the_next_push_sets_it(pushed, hub):
    hub.fail = {"POST /api/datasets/lab/cube/tag": 500}
    code, _, said = pushed(DATASET)
    assert code == 1 and "is there, its tag v3.0 is not: run the same command again" in said
    hub.fail = {}
    assert pushed(DATASET)[0] == 0
    repository = hub.repositories["dataset", "lab/cube"]
    assert len(repository.commits) == 2 and repository.tags["v3.0"] == repository.commits[-1][0]


def test_an_endpoint_that_hangs_ends_in_a_time_out(pushed, hub, monkeypatch):
    monkeypatch.setattr(upload_module, "TIMEOUT", 0.3)
    hub.fail = {"whoami": "hang"}
    code, _, said = pushed(MODEL)
    assert code == 1 and "must answer within 0.3 s, it does not" in said and "nothing was committed" in said


@pytest.mark.parametrize(
    ("constant", "value", "said"),
    [
        ("ENDPOINT", "http://127.0.0.1:9", "http://127.0.0.1:9 must answer, got [Errno 111] Connection refused"),
        ("HF_HUB_OFFLINE", True, "HF_HUB_OFFLINE must be off to push, it is on: unset it"),
    ],
)
def test_an_endpoint_that_is_not_there_and_offline_mode_are_said(pushed, hub, monkeypatch, constant, value, said):
    monkeypatch.setattr(f"huggingface_hub.constants.{constant}", value)
    code, _, line = pushed(MODEL)
    assert code == 1 and said in line and "nothing was committed" in line and line.count("\n") == 1


def test_what_the_hub_says_of_a_card_is_passed_on(pushed, hub, lab):
    code, _, said = pushed(MODEL, licence="not-a-licence")
    assert code == 1 and '"license" must be one of [apache-2.0, mit]' in said and "nothing was committed" in said


def test_a_dry_run_lists_the_files_and_asks_nobody(pushed, hub):
    code, said, _ = pushed(MODEL, "--dry-run")
    assert code == 0 and "model.safetensors" in said and "nothing was sent" in said and not hub.asked


def test_the_command_asks_the_hub_that_hf_endpoint_names(lab, hub, tmp_path):
    assert main(["card", MODEL, "--license", "mit"]) == 0
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "ocrrl.cli", "push", MODEL, "--to", "lab/cube"]

    environment["HF_ENDPOINT"] = hub.endpoint
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and f"{hub.endpoint}/lab/cube/commit/" in done.stdout, done.stderr
    assert (
        yaml.safe_load(hub.repositories["model", "lab/cube"].files["README.md"].split(b"---\n")[1])["license"] == "mit"
    )


@pytest.mark.slow
def test_lerobot_loads_the_pushed_dataset_by_its_repository(pushed, hub, tmp_path):
    assert pushed(DATASET)[0] == 0
    code = (
        "from lerobot.datasets.lerobot_dataset import LeRobotDataset\n"
        f"dataset = LeRobotDataset('lab/cube', root={str(tmp_path / 'root')!r})\n"
        "print(dataset.num_episodes, tuple(dataset[0]['action'].shape), tuple(dataset[0]['observation.images.front'].shape))"
    )
    changed = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | changed, capture_output=True, text=True)
    assert done.stdout.strip() == "2 (7,) (3, 32, 32)", done.stderr[-2000:]
