"""Tables and film strips of failure modes, and the table of strong bases, from units that are made up."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from benchmarks import failure_strips, strong_base
from benchmarks.failure_modes import OUT, handled_tasks, share, tables, unit_name
from benchmarks.recorded_units import read_units
from ocrrl.report.table import markdown_table
from ocrrl.rollouts.failure_modes import FailureMode
from ocrrl.tabletop.registry import MODULES, slugs
from tests.pipeline_copy import ROOT


def unit(failures, behaviours=()):
    """Episodes from the states 0, 1, ...; `behaviours` are those of every success."""
    success = [int(failure is None) for failure in failures]
    shown = [list(behaviours) if solved else [] for solved in success]
    seeds = list(range(len(failures)))
    return {
        "seeds": seeds,
        "success": success,
        "steps": [50] * len(seeds),
        "failures": failures,
        "behaviours": shown,
        "corrections": [[10.0 * s, 1.0] for s in seeds],
    }


UNITS = {
    unit_name("cube_lift", "base", "sim"): unit(["hovers", "hovers", "collides", None]),
    unit_name("cube_lift", "residual", "sim"): unit([None, "collides", None, "loses it"], ["pre-rotation"]),
    unit_name("cube_lift", "base", "twin"): unit(["hovers", "stops short", None, None]),
    unit_name("cube_lift", "residual", "twin"): unit([None, None, None, None]),
    unit_name("cube_lift", "demonstrations", "twin"): unit([None] * 3),
}


def rows(table):
    return {row[:2]: row[2:] for row in table.rows}


def test_failures_are_counted_beside_what_the_residual_mends_of_them():
    failures, fixes, shared, behaviours = tables(UNITS)
    assert failures.header[2:] == tuple(
        f"{c}: {w}" for c in ("sim", "twin") for w in ("base", "mended", "base + residual")
    )
    found = rows(failures)
    assert [text.split(" [")[0] for text in found["cube_lift", "hovers"]] == [
        "2 / 4",
        "1 / 2",
        "0 / 4",
        "1 / 4",
        "1 / 1",
        "0 / 4",
    ]
    assert found["cube_lift", "loses it"][:3] == (share(0, 4), "–", share(1, 4))
    assert found["cube_lift", "any"][1].startswith("2 / 3 ")
    assert ("cube_lift", "misplaces") not in found
    assert ("cube_lift", "hovers") not in rows(fixes)  # one episode has no standard error
    assert rows(fixes)["cube_lift", "none"] == ("–", "–", "–", "2", "+25 ± 5 mm", "+1 ± 0 mm")
    assert shared.rows == [("cube_lift", "2", share(1, 2))]
    assert rows(behaviours)["cube_lift", "pre-rotation"] == (
        share(0, 1), share(2, 2), share(0, 2), share(0, 4), share(0, 3)
    )  # fmt: skip


def test_all_tasks_together_are_counted_once_every_one_was_run():
    assert ("all", "any") not in rows(next(iter(tables(UNITS))))
    units = {
        unit_name(slug, variant, "sim"): UNITS[unit_name("cube_lift", variant, "sim")]
        for slug in slugs()
        for variant in ("base", "residual")
    }
    assert rows(next(iter(tables(units))))["all", "hovers"] == (share(10, 20), share(5, 10), share(0, 20))


def test_the_page_of_failure_modes_holds_what_the_recorded_units_print():
    page = (ROOT / "docs" / "failure_modes.md").read_text()
    for table in tables(read_units(ROOT / OUT)):
        assert markdown_table(table) in page, "print it again with `python -m benchmarks.failure_modes table`"


def test_a_share_has_its_wilson_interval():
    assert share(27, 100) == "27 / 100 [19, 36]%" and share(0, 0) == "–"


def test_every_tabletop_task_has_something_to_grasp_or_push():
    assert handled_tasks() == list(MODULES)


def test_a_strip_shows_a_rescue_and_a_failure_that_happen_again_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(failure_strips, "Filmed", lambda slug, cell: SimpleNamespace(frames=[]))
    units = {"cube_lift": [UNITS[unit_name("cube_lift", variant, "sim")] for variant in ("base", "residual")]}
    units["cube_lift"][0] = unit(["hovers", "hovers", "collides", "hovers"])
    units["cube_lift"][1] = unit([None, "hovers", "stops short", None])
    ran = []

    def run(slug, variant, seed, film):
        ran.append((variant, seed))
        film.frames += [np.full((64, 64, 3), 40 * seed, np.uint8)] * (30 if variant == "base" else 12)
        if seed == 3:  # rounds otherwise than in a batch
            return True, None
        return (True, None) if (variant, seed) == ("residual", 0) else (False, FailureMode.HOVERS)

    failure_strips.write_strips(units, "sim", tmp_path, run)
    assert [path.name for path in tmp_path.iterdir()] == ["failure_hovers.jpg"]
    assert ran == [("base", 3), ("residual", 3), ("base", 0), ("residual", 0), ("residual", 1)]
    height = Image.open(io.BytesIO((tmp_path / "failure_hovers.jpg").read_bytes())).height
    assert height > 0.75 * 3 * 132
    printed = capsys.readouterr().out
    assert "cube_lift, sim, initial state 0; last row cube_lift, 1" in printed
    assert "collides: not mended in sim" in printed


def test_a_strong_base_stands_beside_the_weak_one_with_what_it_lost():
    def base(failures, demonstrations):
        return unit(failures) | {"recipe": {"demonstrations": demonstrations, "steps": 100}}

    units = {
        "weak base in sim": base(["hovers"] * 3 + [None], 30),
        "weak residual in sim": base([None] * 4, 30),
        "strong base in twin": base([None] * 4, 150),
        "strong residual in twin": base([None, None, None, "hovers"], 150),
    }
    weak, strong = strong_base.table(units).rows
    assert weak[:5] == ("weak", "sim", "30", "100", "25% [5, 70]") and weak[6].startswith("+75 [")
    assert weak[7:] == ("0 of 1", "0%", "7 to 17")
    assert strong[:2] == ("strong", "twin (simulated)") and strong[7:] == ("1 of 4", "25%", "17 to 17")


def test_the_page_of_differences_holds_the_recorded_strong_base():
    page = (ROOT / "docs" / "paper_differences.md").read_text()
    assert markdown_table(strong_base.table(read_units(ROOT / strong_base.OUT))) in page


def test_a_project_without_params_is_refused_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["strong_base", "measure", "--projects", f"strong={tmp_path}"])
    with pytest.raises(SystemExit):
        strong_base.main()
    assert "must be BASE=FOLDER, BASE one of weak, strong, FOLDER with a params.yaml" in capsys.readouterr().err
