"""Variants, the placebo and the tables of benchmarks/harm.py, from units that are made up."""

import math
import re
import sys

import numpy as np
import pytest

from benchmarks import harm, harm_variants, harmed_states
from benchmarks.harm import Bench, tables, unit_name
from benchmarks.harm_variants import Variant, variant
from benchmarks.recorded_units import read_units
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.stall import FadeIn
from ocrrl.report.table import markdown_table
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from tests.pipeline_copy import ROOT
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment


def unit(task, name, seed, success, acting=0, cell="sim", purpose="test"):
    facts = {"task": task, "cell": cell, "round": "round0", "purpose": purpose, "variant": name}
    made = {
        "success": success,
        "steps": 10,
        "acting_steps": acting,
        **facts,
        **({} if seed is None else {"seed": seed}),
    }
    return {unit_name(task, name, seed, cell, "round0", purpose): made}


UNITS = {
    **unit("stack_cube", "base", None, "11110000"),
    **unit("stack_cube", "placebo", None, "11101000"),
    **unit("stack_cube", "residual", 0, "11001111", acting=10),
    **unit("stack_cube", "residual", 1, "1111", acting=5),
    **unit("stack_cube", "coming_actions=0", 0, "11001110", acting=10),
    **unit("cube_lift", "base", None, "1100"),
    **unit("cube_lift", "placebo", None, "1100"),
    **unit("cube_lift", "residual", 0, "1111", acting=10),
    **unit("cube_lift", "residual", 1, "1111", acting=10),
}


def row_of(task, policy, seed):
    (table,) = tables(UNITS)
    (found,) = [row for row in table.rows if (row[0], row[2], row[3]) == (task, policy, seed)]
    return dict(zip(table.header, found, strict=True))


def test_harm_is_printed_net_of_the_placebo_with_the_share_of_steps_that_the_residual_acts_on():
    row = row_of("stack_cube", "residual", "0")
    assert (row["states"], row["base"], row["success"], row["lost"]) == ("8", "50%", "75%", "2 of 4")
    assert row["harmed share"].startswith("50.0 [") and row["net of placebo"].startswith("+25.0 [")
    assert row["steps acting"] == "100%" and row_of("stack_cube", "residual", "1")["states"] == "4"
    placebo = row_of("stack_cube", "placebo", "–")
    assert placebo["lost"] == "1 of 4" and placebo["net of placebo"] == placebo["steps acting"] == "–"


def test_a_variant_is_compared_with_the_published_residual_on_the_same_states():
    assert row_of("stack_cube", "coming_actions=0", "0")["minus residual"].startswith("-12 [")
    assert row_of("stack_cube", "residual", "0")["minus residual"] == "–"


def test_seeds_and_tasks_are_averaged():
    mean = row_of("stack_cube", "residual", "all")
    assert (mean["states"], mean["lost"], mean["steps acting"]) == ("4", "1 of 4", "75%")
    assert row_of("all 2", "residual", "0")["harmed share"].startswith("25.0 [")


@pytest.mark.parametrize(
    "name", ["base", "placebo", "residual", "always", "veto=0.5", "scaled=-1", "fade_in=60", "coming_actions=0"]
)
def test_a_variant_is_what_its_name_says(name):
    made = variant(name)
    assert made.name == name and made.corrects == (name not in ("base", "placebo"))
    assert (made.margin is not None) == (name in ("always", "veto=0.5", "scaled=-1"))
    assert (made.fade_in is not None) == (name == "fade_in=60")
    assert variant("veto=0.5").trained_as == variant("always").trained_as == "gate", "one training for all margins"
    assert variant("calibrated", -math.inf).margin == -math.inf
    assert (variant("mean=3").members, variant("mean=3").training) == (3, None)
    assert variant("pose_noise=3").trained_as == "pose_noise=3.0"
    both = variant("coming_actions=0+chunk_phase+fade_in=60")
    assert both.training == {"coming_actions": 0, "chunk_phase": True} and both.fade_in == FadeIn(after=60)
    assert both.trained_as == "coming_actions=0-chunk_phase=True" != variant("coming_actions=8").trained_as


def test_the_mean_of_residuals_is_that_of_their_changes():
    class Constant:
        every, chunk_phase, coming_actions = 4, False, 8

        def __init__(self, value):
            self.value = value

        def residual(self, observation):
            return np.full((len(observation), 7), self.value, np.float32)

    mean = harm_variants.MeanResidual([Constant(0.0), Constant(0.3)])
    found = mean.residual(np.zeros((2, 5), np.float32))
    assert (mean.every, mean.coming_actions) == (4, 8) and found.dtype == np.float32
    np.testing.assert_allclose(found, 0.15)


@pytest.mark.parametrize(
    "name",
    [
        "veto",
        "veto=x",
        "fade_in=-3",
        "mean",
        "mean=-1",
        "mean=1",
        "residual=1",
        "nothing",
        "base+wide",
        "fade_in=inf",
        "coming_actions=1.5",
        "pose_noise=-1",
    ],
)
def test_an_unknown_variant_is_named_with_the_choices(name):
    with pytest.raises(ValueError, match=rf"variant must be one of base, placebo, .* got '{re.escape(name)}'"):
        variant(name)


def test_a_margin_that_was_not_calibrated_is_asked_for():
    with pytest.raises(ValueError, match=r"must be calibrated first: python -m benchmarks\.harm calibrate"):
        variant("calibrated")


@pytest.fixture
def toy(monkeypatch):
    """Blocks run the toy, in which a "residual" seeks the object; which states were asked for."""
    asked = []

    def run_block(block):
        asked.append((block.variant.name, block.residual_seed, len(block.states), block.states[0]))
        outcomes = run_episodes(ToyEnvironment(25), ToyBase(), None, block.states)
        return {"success": "".join(str(int(o.success)) for o in outcomes), "steps": 7, "acting_steps": 3}

    monkeypatch.setattr(harm, "run_block", run_block)
    monkeypatch.setattr(harm, "trained", lambda *arguments: None)
    return asked


def test_units_go_on_where_they_were_and_are_extended(toy, tmp_path):
    out = tmp_path / "harm.json"
    first = initial_state_seeds("test", 1)[0]
    for episodes in (100, 100, 250):
        bench = Bench(read_units(out), out, "round0", 1)
        bench.run("cube_lift", "sim", "residual", [0, 1], "test", episodes)
    expected = [("residual", s, 100, first) for s in (0, 1)]
    for seed in (0, 1):
        expected += [("residual", seed, 100, first + 100), ("residual", seed, 50, first + 200)]
    assert toy == expected
    (one, two) = read_units(out).values()
    assert len(one["success"]) == len(two["success"]) == 250 and one["steps"] == 21 and one["seed"] == 0


def test_the_published_seed_runs_300_held_out_states_and_ablations_none(toy, tmp_path):
    bench = Bench({}, tmp_path / "harm.json", "round0", 1)
    bench.run("cube_lift", "sim", "residual", [0, 1], "test", None)
    bench.run("cube_lift", "sim", "base", [0, 1], "test", None)
    bench.run("cube_lift", "sim", "veto=0.5", [0], "validation", None)
    counts = {}
    for name, seed, count, first in toy:
        counts[name, seed] = counts.get((name, seed), 0) + count
        assert (first >= 2_000_000) == (name != "veto=0.5")
    assert counts == {("residual", 0): 300, ("residual", 1): 100, ("base", 0): 300, ("veto=0.5", 0): 100}


def test_a_margin_is_calibrated_on_states_of_its_own_and_then_a_variant(toy, tmp_path, capsys):
    bench = Bench({}, tmp_path / "harm.json", "round0", 1)
    bench.calibrate("cube_lift", "sim", 0, 100, net=True)
    assert "cube_lift seed 0 in sim:" in capsys.readouterr().out
    assert all(1_100_000 <= first < 1_200_000 for *_, first in toy)
    bench.run("cube_lift", "sim", "calibrated", [0], "validation", 100)
    assert toy[-1][0] == "calibrated"


def test_the_command_prints_the_table_of_a_file(tmp_path, monkeypatch, capsys):
    out = tmp_path / "harm.json"
    harm.files.write_json(out, UNITS)
    monkeypatch.setattr(sys, "argv", ["harm", "table", "--out", str(out)])
    harm.main()
    printed = capsys.readouterr().out
    assert "harmed share" in printed and "+25.0 [" in printed


def test_what_is_recorded_reads_as_units():
    for path in (harm.OUT, harm.ABLATIONS):
        for found in read_units(path).values():
            assert "success" not in found or set(found["success"]) <= {"0", "1"}


def test_a_training_shares_its_folder_with_its_variants_only():
    published, gated = (harm_variants.folder_of("cube_lift", "round0", variant(n), 0) for n in ("fade_in=60", "veto=1"))
    assert published.parts[0] == "data" and gated.parts[-1] == "cube_lift-round0-gate-0"
    assert isinstance(variant("base"), Variant)


def test_harmed_states_are_run_again_in_their_batches_and_their_failures_counted(monkeypatch):
    states = harm.first_states("validation", 60)
    lost, ran = {3, 30, 31}, []

    def again(world, base, residual, seeds, observer):
        ran.append(list(seeds))
        for seed in seeds:
            observer.traces[seed] = seed
        return [EpisodeOutcome(seed, seed == states[31], 5, 0.0) for seed in seeds]

    monkeypatch.setattr(harmed_states, "policy_of", lambda block: (None, None, None))
    monkeypatch.setattr(harmed_states, "run_episodes", again)
    monkeypatch.setattr(
        harmed_states, "first_failure", lambda trace, handled: "loses it" if trace == states[3] else "hovers"
    )
    found = {"success": "".join("0" if i in lost else "1" for i in range(60))}
    block = harm_variants.Block("cube_lift", "round0", variant("residual"), 0, "sim", ())
    modes = harmed_states.harmed(block, {"success": "1" * 59 + "0"}, found, "validation")
    assert modes == {"loses it": 1, "hovers": 1, "none this time": 1}
    assert ran == [states[:25], states[25:50]]


@pytest.mark.parametrize("recorded", [harm.OUT, harm.ABLATIONS])
def test_what_was_measured_stands_in_the_page_as_printed(recorded):
    page = (ROOT / "docs/harm.md").read_text()
    for table in tables(read_units(ROOT / recorded)):
        assert table.rows and markdown_table(table) in page
