import re
import shutil

from ocrrl.cli import main

MODEL = "data/models/vla_retrained"
LAB = "data/episodes/cube_lift/lab"


def verify(capsys):
    code = main(["lineage", MODEL, "--verify"])
    return code, capsys.readouterr().out


def test_what_is_as_it_was_made_is_ok(at, capsys):
    code, text = verify(capsys)
    assert code == 0 and text.splitlines()[-1] == "14 ok, 0 changed, 0 missing"


def test_a_flipped_byte_is_found_and_its_file_named(own, capsys):
    file = own / LAB / "episode_000001.h5"
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.chmod(0o644)
    file.unlink()  # it may be a link into the cache
    file.write_bytes(content)
    code, text = verify(capsys)
    assert code == 1 and f"changed  {LAB}" in text
    assert re.search(rf"changed 75d7f13e -> [0-9a-f]{{8}} {LAB}/episode_000001.h5", text)
    assert "`dvc checkout data/episodes/cube_lift/lab` brings it back" in text
    assert text.splitlines()[-1] == "13 ok, 1 changed, 0 missing"


def test_files_too_many_and_too_few_are_named(own, capsys):
    (own / LAB / "episode_000000.h5").unlink()
    (own / LAB / "new.h5").write_text("new")
    code, text = verify(capsys)
    assert code == 1
    assert f"{LAB}/episode_000000.h5" in text and "missing " in text and f"{LAB}/new.h5" in text and "added " in text


def test_what_is_missing_is_said_with_where_it_can_come_from(own, capsys):
    shutil.rmtree(own / "data/rollouts_corrected/round0/cube_lift")
    (own / "data/metrics/replay/round0/cube_lift.json").unlink()
    code, text = verify(capsys)
    assert code == 1 and text.splitlines()[-1] == "12 ok, 0 changed, 2 missing"
    assert "`dvc checkout data/rollouts_corrected/round0/cube_lift` brings it back" in text
    shutil.rmtree(own / ".dvc/cache")
    code, text = verify(capsys)
    assert "the cache has it not: `dvc pull data/rollouts_corrected/round0/cube_lift`" in text


def test_a_past_revision_cannot_be_verified(at, capsys):
    assert main(["lineage", MODEL, "--verify", "--rev", "first"]) == 1
    assert "--rev must be left out, got first" in capsys.readouterr().err


def test_a_broken_object_of_the_cache_is_not_offered_as_what_brings_a_file_back(own, capsys):
    file = own / LAB / "episode_000001.h5"
    file.unlink()
    broken = own / ".dvc/cache/files/md5/75" / next(p.name for p in (own / ".dvc/cache/files/md5/75").glob("d7f13e*"))
    broken.chmod(0o644)
    broken.write_bytes(b"flipped")
    code, text = verify(capsys)
    assert code == 1 and "brings it back" not in text
    assert (
        f"the cache's copy is broken, its bytes are not what its name says: delete {broken.relative_to(own)}, then"
        in text
    )
    assert f"`dvc pull {LAB}`" in text


def test_an_empty_list_of_files_is_named_by_lineage(own, capsys):
    shutil.rmtree(own / LAB)
    lists = [path for path in own.glob(".dvc/cache/files/md5/*/*.dir") if "episode_000001.h5" in path.read_text()]
    for path in lists:
        path.chmod(0o644)
        path.write_text("")
    assert main(["lineage", MODEL]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "is broken" in line]
    assert said and all(line.startswith("Not known: .dvc/cache/files/md5/") for line in said)
    assert "delete it; `dvc fetch`" in said[0] and "`dvc commit -f" in said[0]
    code, text = verify(capsys)
    assert code == 1 and "the cache's copy is broken" in text
