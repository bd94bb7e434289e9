import shutil

from ocrrl.commands.doctor import project_health

MODEL = "data/models/vla_retrained"


def health(root):
    return {finding.subject: (finding.found, finding.remedy) for finding in project_health(root)}


def test_a_project_in_order_needs_nothing(at):
    assert {subject: remedy for subject, (_, remedy) in health(at).items()} == {
        "git": "",
        "dvc.lock": "",
        "dvc cache": "",
    }


def test_what_is_wrong_is_named_with_what_helps(own):
    shutil.rmtree(own / ".git")
    lock = own / "dvc.lock"
    lock.write_text(lock.read_text() + "stages: {}\n")
    (listed, *_) = sorted(own.glob(".dvc/cache/files/md5/*/*.dir"))
    listed.chmod(0o644)
    listed.write_text("")
    found = health(own)
    assert "in no git repository" in found["git"][0] and "DVC stops" in found["git"][1]
    assert "dvc.lock: stages must be there once, got it on lines" in found["dvc.lock"][1]
    assert "1 lists of files are broken" in found["dvc cache"][0] and str(listed) in found["dvc cache"][0]
    assert "delete them" in found["dvc cache"][1]


def test_a_folder_without_a_pipeline_is_not_looked_at(tmp_path):
    assert health(tmp_path) == {}
