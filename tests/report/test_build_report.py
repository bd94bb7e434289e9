import re
from dataclasses import replace

import pytest

from ocrrl.report.build_report import build_report
from ocrrl.report.inputs import ReportInputs, TaskInputs, read_inputs
from ocrrl.report.verdicts import TWIN_STATEMENT

from .html_page import Page


def read(report):
    return (report / "index.html").read_text()


def test_the_page_is_sound_and_loads_nothing_from_elsewhere(report):
    page = Page(read(report))
    assert len(set(page.ids)) == len(page.ids)
    assert all(link.removeprefix("#") in page.ids for link in page.links)
    assert all(source.startswith("data:") for source in page.loaded)
    assert not re.search(r"url\(|@import|<script", read(report))


def test_the_same_inputs_give_the_same_bytes(inputs, report, tmp_path):
    build_report(read_inputs(inputs), tmp_path, "ocrrl report")
    for name in ("index.html", "results.md"):
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes()


def test_every_part_is_there(report):
    text = read(report)
    assert text.count("data:video/mp4;base64,") == 2
    assert text.count("data:image/svg+xml;base64,") == 6
    assert "Missing" not in text
    assert "timestamps must be increasing" in text
    assert "episode_000017.h5" in text


def test_what_is_a_twin_is_said_at_the_top_and_in_the_table(report):
    text = read(report)
    assert text.index(TWIN_STATEMENT) < text.index("<main>")
    assert TWIN_STATEMENT in (report / "results.md").read_text()
    assert "Nothing here was measured on a robot" in text


def test_the_papers_numbers_are_marked_as_the_papers(report):
    results = (report / "results.md").read_text()
    assert "paper, not ours" in results
    assert "real robot 17 / 20" in results
    assert "not ours and have no counterpart here" in read(report)


def test_without_any_part_the_page_says_what_is_missing(tmp_path):
    nowhere = tmp_path / "nowhere"
    task = TaskInputs("stack_cube", ingest_report=nowhere, rollout_reports=(nowhere,))
    build_report(read_inputs(ReportInputs((task,))), tmp_path, "ocrrl report")
    text = read(tmp_path)
    Page(text)
    for part in ("videos", "learning curves", "ingest report", "evaluation of the retrained VLA"):
        assert part in text
    assert "Nothing has been evaluated yet." in text
    assert "Not measured." in (tmp_path / "results.md").read_text()


@pytest.mark.parametrize(
    "parts",
    [
        ("evaluations", "retrained_evaluation", "replay_report"),
        ("evaluation_episodes", "residuals", "ingest_report", "rollout_reports"),
    ],
)
def test_files_that_are_not_there_are_named_and_the_rest_is_shown(inputs, tmp_path, parts):
    (task,) = inputs.tasks
    for part in parts:
        absent = tmp_path / "nowhere" / part
        if part == "retrained_evaluation":
            inputs = replace(inputs, retrained_evaluation=absent)
        else:
            task = replace(task, **{part: (absent,) if isinstance(getattr(task, part), tuple) else absent})
    build_report(read_inputs(replace(inputs, tasks=(task,))), tmp_path / "out", "ocrrl report")
    text = read(tmp_path / "out")
    Page(text)
    for part in parts:
        assert str(tmp_path / "nowhere" / part) in text
    assert "data:image/svg+xml;base64," in text


def test_a_file_that_is_not_json_is_refused_by_name(tmp_path):
    (tmp_path / "ingest.json").write_text("{")
    with pytest.raises(ValueError, match=r"ingest\.json must be JSON"):
        read_inputs(ReportInputs((TaskInputs("cube_lift", ingest_report=tmp_path / "ingest.json"),)))
