"""Pages that benchmarks print from what lies under data/."""

import sys
from pathlib import Path

import pytest

from benchmarks import (
    across_bases,
    interventions,
    observation_spaces,
    observation_spaces_search,
    recorded_units,
    results,
    robustness,
    scale_out,
    table1,
)
from benchmarks.measured_results import measure_here, read_recorded
from ocrrl.config_builder import ParamsError
from ocrrl.layout import Layout
from ocrrl.lineage.run_record import recorded_run
from ocrrl.params import Params
from ocrrl.report.table import markdown_table
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.robot.twin.noisy_tracker import TrackerErrors
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import newcombe_interval, wilson_interval
from tasks.graph import read_graph
from tests.flow_project import copy_for_flows
from tests.report.synthetic_round import write_synthetic_tasks

ROOT = Path(__file__).parents[1]
RECORDED = Path("benchmarks/recorded/results.json")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_table_1_is_printed_over_residual_seeds_and_its_page_written(here, monkeypatch, capsys):
    write_synthetic_tasks(here, episodes=4, seeds=(0, 1))
    monkeypatch.setattr(sys, "argv", ["table1", "--seeds", "2", "--page", "page"])
    table1.main()
    printed = capsys.readouterr().out
    assert "| stand_cup_up " in printed and "±" in printed and "paper, not ours" in printed
    assert "python -m benchmarks.table1 --seeds 2" in (here / "page/index.html").read_text()


def test_missing_seeds_are_named_with_the_command_that_makes_them(here, monkeypatch):
    write_synthetic_tasks(here, episodes=4)
    monkeypatch.setattr(sys, "argv", ["table1"])
    with pytest.raises(SystemExit) as stopped:
        table1.main()
    said = str(stopped.value.code)
    assert str(Layout("stack_cube").evaluation(2)) in said and str(Layout("stack_cube").evaluation(0)) not in said
    assert "`ocrrl params --preset default --residual-seeds 3 && dvc repro evaluate` makes them" in said


def test_the_results_page_names_what_was_not_run(here):
    page = results.results_page(measure_here(3, "On a train."), "a command")
    assert page.startswith("# Results\n\nPrinted by `a command`;")
    assert "\n\nOn a train.\n\n" in page
    assert "Not run here; `dvc repro report_multitask` makes it." in page
    assert "Not run here; `dvc repro report@close_drawer` makes it." in page
    assert "over 3 residual seeds" in page and "Table 1 over 3 residual seed(s) needs every evaluation" in page
    assert "no stage has run here" in page


def test_the_results_page_holds_all_tasks_then_each_task_a_level_down(here):
    write_synthetic_tasks(here, episodes=4)
    page = results.results_page(measure_here(1, ""), "a command")
    assert page.index("\n## 5 tabletop tasks, round 0\n") < page.index("\n## cube_lift, round 0\n")
    assert "28 of 30 replays succeeded (93%)" in page and "| replay " in page
    assert "\n|       4,000 |" in page
    assert page.index("## cube_lift") < page.index("## What each stage cost")


def test_recorded_results_print_the_page_that_the_measured_ones_print(here, monkeypatch, capsys):
    write_synthetic_tasks(here, episodes=4, seeds=(0, 1))
    with recorded_run({"command": "none"}, "record@cube_lift"):
        pass
    command = ["results", "--seeds", "2", "--about", "Two\nlines.", "--record", "record/results.json"]
    monkeypatch.setattr(sys, "argv", command)
    results.main()
    measured = capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["results", "--recorded", "record/results.json"])
    results.main()
    printed = capsys.readouterr().out
    assert printed == measured.replace("results --seeds 2`", "results --recorded record/results.json`")
    assert (
        "## All tabletop tasks over 2 residual seeds\n\n| tabletop task " in printed and "record@cube_lift" in printed
    )


def test_the_page_of_results_is_what_the_recorded_values_print(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["results", "--recorded", str(RECORDED)])
    results.main()
    printed = capsys.readouterr().out
    assert printed == Path("docs/results.md").read_text()


def test_recorded_rates_and_intervals_follow_from_the_recorded_counts():
    for found in read_recorded(ROOT / RECORDED).rounds:
        for entry in (task.main[cell] for task in found.tasks for cell in ("sim", "twin")):
            both, only_residual, only_base = (entry["paired"][name] for name in ("both", "only_residual", "only_base"))
            counts = (both, only_residual, only_base, entry["paired"]["neither"])
            ends = (entry["difference"]["low"], entry["difference"]["high"])
            assert ends == pytest.approx(newcombe_interval(*counts), abs=1e-5)
            for variant, only in (("base", only_base), ("residual", only_residual)):
                summary = entry[variant]
                assert summary["successes"] == both + only and summary["episodes"] == sum(counts)
                ends = (summary["wilson_low"], summary["wilson_high"])
                assert ends == pytest.approx(wilson_interval(both + only, sum(counts)), abs=1e-5)


def test_recorded_results_of_another_form_are_refused_with_the_command_that_records(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"about": []}')
    with pytest.raises(
        ValueError, match=r"results.json must hold results as `python -m benchmarks.results --record .*got KeyError"
    ):
        read_recorded(path)


def test_scale_out_trains_as_many_seeds_as_asked_for_side_by_side(tmp_path):
    folder = copy_for_flows(tmp_path / "coordinator")
    scale_out.prepare(folder, seeds=3, transitions=2000)
    stages = {stage.name: stage for stage in read_graph(folder).stages}
    trained = [name for name in stages if name.startswith("train_residual@")]
    assert trained == [f"train_residual@cube_lift-{seed}" for seed in range(3)]
    config = Params.read(folder / "params.yaml").config("train_residual", "cube_lift")
    assert (config.total_timesteps, config.critic_hidden) == (2000, 256)


def test_robustness_refuses_a_residual_that_was_not_trained_as_its_experiment_says():
    config = {"max_position_noise": 0.0, "max_rotation_noise": 0.0, "dropout": 0.1}
    robustness.require_trained_so("without_noise", "stack_cube", config)
    with pytest.raises(SystemExit, match=r"stack_cube in experiment without_both .* dropout 0.0, got 0.1: remove the"):
        robustness.require_trained_so("without_both", "stack_cube", config)


def test_robustness_runs_only_the_experiments_that_are_missing():
    commands = robustness.missing_experiments(("cube_lift", "stack_cube"), {"without_noise"})
    names = [command[command.index("--name") + 1] for command in commands]
    assert names == ["without_dropout", "without_both", "randomised_dynamics"]
    assert "--set-param=++train_residual.stack_cube.dropout=0.0" in commands[0]
    assert "--set-param=++train_residual.cube_lift.latency_steps=[0,2]" in commands[2]
    assert commands[1][-2:] == ["train_residual@cube_lift-0", "train_residual@stack_cube-0"]
    assert sum(part.startswith("--set-param") for part in commands[1]) == 6


def test_a_stressed_tracker_errs_as_many_times_as_much_and_as_often():
    own, stressed = robustness.stressed(1.0), robustness.stressed(3.0)
    assert own == TrackerErrors()
    assert stressed.max_bias == pytest.approx(3 * own.max_bias) and stressed.latency == own.latency
    assert stressed.lost_episodes == pytest.approx(1.0) and stressed.lost_for == pytest.approx((0.6, 3.0))


def test_the_robustness_table_compares_every_variant_with_the_full_method(tmp_path, monkeypatch):
    def solved(slug, residual, episodes, factor):
        wins = {"full": 8, "without_noise": 7, "without_dropout": 6, "without_both": 2, "randomised_dynamics": 9}[
            residual.name
        ]
        return [EpisodeOutcome(seed, seed < wins, 40, 1.0) for seed in range(episodes)]

    class Here:
        def __init__(self, *_): ...

        def __enter__(self):
            return self

        def __exit__(self, *_): ...

        map = staticmethod(map)

    monkeypatch.setattr(robustness, "residual_of", lambda slug, variant, folder: tmp_path / variant)
    monkeypatch.setattr(robustness, "outcomes", solved)
    monkeypatch.setattr(robustness, "ProcessPoolExecutor", Here)
    lines = robustness.robustness_table(
        ("cube_lift", "stack_cube"), tuple(robustness.EXPERIMENTS), 10, 3.0, 2, tmp_path
    ).splitlines()
    assert len(lines) == 2 + 10 and lines[2].split("|")[1:4] != lines[7].split("|")[1:4]
    full, both = lines[2], lines[5]
    assert "80%" in full and "–" in full
    assert "20% (-60 [" in both and "-60 [" in both.split("|")[-2]


def test_residuals_are_compared_on_the_base_that_they_were_trained_on_and_on_others():
    def episodes(successes):
        return {"seeds": [1, 2, 3, 4], "success": successes, "steps": [9] * 4}

    units = {
        "cube_lift compact alone in sim": episodes([0, 0, 0, 1]),
        "cube_lift compact residual of compact in sim": episodes([1, 1, 1, 1]),
        "cube_lift compact residual of act in sim": episodes([1, 1, 0, 1]),
        "cube_lift act alone in sim": episodes([0, 0, 0, 0]),
        "cube_lift act residual of act in sim": episodes([0, 1, 1, 1]),
        "close_drawer act alone in twin": episodes([0, 1, 0, 1]),
    }
    each, averages = across_bases.tables(units)
    assert each.header[3:] == ("alone", "+ residual of compact", "+ residual of act")
    rows = {(row[0], row[2]): row[3:] for row in each.rows}
    assert set(rows) == {("cube_lift", "compact"), ("cube_lift", "act"), ("close_drawer", "act")}
    alone, own, other = rows["cube_lift", "compact"]
    assert alone.startswith("25% [") and own.startswith("100%, +75 [") and other.startswith("75%, +50 [")
    assert rows["cube_lift", "act"][1] == "–" and rows["close_drawer", "act"][1:] == ("–", "–")
    ((task, where, *rates, minus_alone, minus_own),) = averages.rows
    assert (task, where) == ("cube_lift", "sim")
    assert rates == ["25%", "100%", "75%"] and minus_alone.startswith("+50 [") and minus_own.startswith("-25 [")


def test_the_page_of_bases_holds_the_tables_of_the_recorded_units():
    page = (ROOT / "docs/results_bases.md").read_text()
    recorded = recorded_units.read_units(ROOT / across_bases.OUT)
    assert recorded and all(markdown_table(table) in page for table in across_bases.tables(recorded))


def test_what_a_residual_across_bases_needs_is_named_with_the_command_that_trains_it(here):
    projects = {"compact": here / "compact", "act": here / "act"}
    (projects["act"] / Layout("cube_lift").vla("sim")).mkdir(parents=True)
    assert across_bases.not_trained(across_bases.Unit("cube_lift", "act", None, "sim"), projects) == set()
    (missing,) = across_bases.not_trained(across_bases.Unit("cube_lift", "act", "compact", "sim"), projects)
    assert missing.endswith("compact/data/residual_0/round0/cube_lift (`dvc repro train_residual@cube_lift-0` there)")
    missing = across_bases.not_trained(across_bases.Unit("cube_lift", "act", "act", "twin"), projects)
    assert {name.split("`")[1] for name in missing} == {
        "dvc repro finetune@cube_lift-real",
        "dvc repro train_residual@cube_lift-0",
    }


def test_units_are_kept_one_by_one_and_read_back(here, monkeypatch):
    monkeypatch.setattr(recorded_units, "commit_here", lambda: "abc")
    path, units = here / "units.json", recorded_units.read_units(here / "units.json")
    recorded_units.record_unit(path, units, "a unit", [EpisodeOutcome(7, True, 40, 3.0)], command="measure")
    recorded_units.record_unit(path, units, "another", [EpisodeOutcome(8, False, 90, 0.0)])
    read = recorded_units.read_units(path)
    assert read == units and read["a unit"]["command"] == "measure" and read["another"]["commit"] == "abc"
    assert recorded_units.outcomes_of(read["a unit"]) == [EpisodeOutcome(7, True, 40, 0.0)]


def test_observation_spaces_are_compared_task_by_task_and_over_all_of_them():
    def episodes(successes):
        return {"seeds": [1, 2, 3, 4], "success": successes, "steps": [9] * 4}

    recorded = {
        "cube_lift images transitions realistic seed 0": {
            "cpu_s": 60.4, "transitions": 64000, "updates": 9000, "validation": [0.5, None],
        },
    }  # fmt: skip
    for task in ("cube_lift", "close_drawer"):
        recorded |= {
            f"{task} base in twin": episodes([0, 0, 0, 1]),
            f"{task} objects transitions poses seed 0 in twin": episodes([1, 1, 1, 1]),
            f"{task} images transitions realistic seed 0 in twin": episodes([1, 0, 0, 1]),
        }
    compared, trainings = observation_spaces.tables(recorded)
    rows = {(row[0], row[2]): row for row in compared.rows}
    assert set(rows) == {
        (task, residual)
        for task in ("cube_lift", "close_drawer", "all 2")
        for residual in ("base", "objects", "images, realistic")
    }
    _, cell, _, budget, success, _, from_base, objects_minus = rows["all 2", "images, realistic"]
    assert (cell, budget, success) == ("twin", "transitions", "50%")
    assert from_base.startswith("+25") and objects_minus.startswith("+50")
    assert rows["cube_lift", "objects"][7] == "–"
    assert trainings.rows == [("cube_lift images transitions realistic seed 0", "60", "64,000", "9,000", "0.50 –")]


def test_a_budget_of_cpu_time_shrinks_what_costs_it():
    full = ResidualConfig(observation="images")
    half = observation_spaces.shrunk(full, 0.5)
    assert (
        half.total_timesteps == full.total_timesteps // 2
        and half.images.encoder_updates == full.images.encoder_updates // 2
    )
    assert half.gradient_steps == full.gradient_steps and half.validation_every == full.validation_every // 2


def test_a_trial_of_the_search_changes_what_it_names_and_is_listed_under_its_task():
    changes = {"observation": "distilled", "teacher": "there", "images": {"look": "realistic"}}
    changed = observation_spaces_search.changed(ResidualConfig(total_timesteps=7), changes)
    assert (changed.total_timesteps, changed.teacher, changed.images.look) == (7, "there", "realistic")
    with pytest.raises(ParamsError, match=r"--set: images\.shft is no parameter"):
        observation_spaces_search.changed(ResidualConfig(), {"images": {"shft": 3}})
    trial = {"space": "images", "transitions": 16000, "cpu_s": 60.4, "validation": [0.5, 0.75, 0.625]}
    trials = [{**trial, "task": task, "name": task[:4]} for task in ("pick_and_place", "cube_lift")]
    of_trials, efforts = observation_spaces_search.tables(trials)
    assert of_trials.rows[0] == ("cube_lift", "images", "cube", "16,000", "60", "0.50, 0.75, 0.62")
    assert efforts.rows[0][:4] == ("cube_lift", "1", "0", "0")


def test_what_interventions_buy_is_printed_from_the_recorded_units_and_stands_in_its_page():
    page, recorded = (ROOT / "docs/stepping_in.md").read_text(), recorded_units.read_units(ROOT / interventions.OUT)
    assert recorded
    for table in (interventions.rollouts_table(recorded), interventions.table(recorded)):
        assert table.rows and markdown_table(table) in page
