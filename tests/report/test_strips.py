import io

import numpy as np
import pytest
from PIL import Image

from ocrrl.report.build_report import build_report
from ocrrl.report.strips import CELL, HEAD, LABELS, MOMENTS, SPACE, Clip, filmstrip
from ocrrl.stages.report_multitask import read_round


def clip(steps, success, label="base VLA"):
    frames = np.zeros((steps, 8, 8, 3), np.uint8)
    frames[:, :, :, 0] = np.linspace(60, 250, steps)[:, None, None]
    return Clip(label, frames, success)


def reds(jpeg):
    """Brightness of red in the middle of each moment, 255 where nothing is shown; a row a video."""
    image = np.asarray(Image.open(io.BytesIO(jpeg)))
    rows = HEAD + CELL // 2 + (CELL + SPACE) * np.arange((image.shape[0] - HEAD) // (CELL + SPACE))
    columns = LABELS + CELL // 2 + (CELL + SPACE) * np.arange(MOMENTS)
    shown = image[np.ix_(rows, columns)].astype(int)
    return np.where(shown[:, :, 1] > 200, 255, shown[:, :, 0])


def test_a_strip_shows_moments_of_the_longest_video_and_each_video_once():
    longer, shorter = reds(filmstrip([clip(80, False), clip(30, True, "base + residual")]))
    np.testing.assert_allclose(longer, np.linspace(60, 250, MOMENTS), atol=4)
    assert (np.diff(shorter[:4]) > 20).all() and shorter[3] == pytest.approx(250, abs=4)
    assert (shorter[4:] == 255).all(), "nothing after its last frame"


def test_a_strip_of_the_first_frames_shows_no_later_ones():
    longer, shorter = reds(filmstrip([clip(80, False), clip(30, True)], until=40))
    np.testing.assert_allclose(longer, np.linspace(60, 60 + 190 * 39 / 79, MOMENTS), atol=5)
    assert shorter[5] == pytest.approx(246, abs=6) and shorter[6] == pytest.approx(250, abs=4) and shorter[7] == 255


def test_the_same_videos_give_the_same_bytes_and_none_is_refused():
    assert filmstrip([clip(9, True)]) == filmstrip([clip(9, True)])
    with pytest.raises(ValueError, match="at least one video, got none"):
        filmstrip([])


def test_the_report_shows_a_rescue_and_a_failure_of_each_task_from_the_twin(five_tasks, tmp_path, monkeypatch):
    monkeypatch.chdir(five_tasks)
    measured = read_round(("cube_lift", "stack_cube"), "round0", [0])
    build_report(measured, tmp_path, "ocrrl report_multitask")
    written = {path.stem for path in (tmp_path / "videos").iterdir()}
    assert {"cube_lift_rescued", "stack_cube_rescued"} <= written and len(written) >= 3
    text = (tmp_path / "index.html").read_text()
    assert text.count("data:image/jpeg;base64,") == len(written)
    assert "stack_cube, twin (simulated), initial state" in text and "rescues what the base alone fails at" in text


def test_without_videos_the_report_says_so(five_tasks, tmp_path, monkeypatch):
    monkeypatch.chdir(five_tasks)
    measured = read_round(("cube_lift", "stack_cube"), "round0", [0])
    for task in measured.tasks:
        task.videos.clear()
    build_report(measured, tmp_path, "ocrrl report_multitask")
    assert "Missing: videos" in (tmp_path / "index.html").read_text() and not (tmp_path / "videos").exists()
