import pytest

from ocrrl.cli import main
from ocrrl.lineage.run_record import recorded_run, timings_table
from ocrrl.worlds import make_environment, make_scene


@pytest.mark.renders
def test_doctor_finds_what_is_here_and_names_a_remedy_for_what_is_not(capsys, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok   mujoco") for line in lines)
    assert any("params.yaml" in line and "valid" in line for line in lines)


def test_doctor_says_what_is_wrong_with_the_parameters(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 1
    assert "MISS params.yaml" in capsys.readouterr().out


def test_params_refuses_an_unknown_preset(capsys, tmp_path):
    assert main(["params", "--preset", "fast", "--path", str(tmp_path / "params.yaml")]) == 1
    assert "preset must be one of default, smoke, paper, got 'fast'" in capsys.readouterr().err


def test_an_episode_becomes_a_rerun_recording(tmp_path):
    from ocrrl.interface.seeds import initial_state_seeds
    from ocrrl.rollouts.record import RecordConfig, record_episodes
    from ocrrl.worlds import make_teleoperator, make_twin

    twin = make_twin("cube_lift", 1)
    record_episodes(
        twin,
        make_teleoperator("cube_lift", twin),
        tmp_path,
        initial_state_seeds("record", 2),
        RecordConfig(episodes=1, max_attempts=2),
    )
    recording = tmp_path / "episode.rrd"
    assert main(["view", str(tmp_path / "episode_000000.h5"), "--save", str(recording)]) == 0
    assert recording.stat().st_size > 10_000


def test_viewing_what_is_no_episode_is_refused_by_name(capsys, tmp_path):
    path = tmp_path / "notes.h5"
    path.write_text("not HDF5")
    assert main(["view", str(path)]) == 1
    assert "notes.h5" in capsys.readouterr().err


def test_timings_show_the_last_run_of_each_stage(tmp_path):
    for stage in ("record@cube_lift", "replay@cube_lift", "record@cube_lift"):
        with recorded_run({"command": "none"}, stage, tmp_path):
            pass
    assert len((tmp_path / "data/runs.jsonl").read_text().splitlines()) == 3
    table = timings_table(tmp_path)
    assert table.count("record@cube_lift") == 1 and table.splitlines()[-1].startswith("all")
    assert "no stage has run here" in timings_table(tmp_path / "elsewhere")


def test_an_unknown_cell_or_tabletop_task_names_the_known_ones():
    with pytest.raises(ValueError, match="cell must be one of sim, twin, got 'moon'"):
        make_environment("moon", "cube_lift", 1)
    with pytest.raises(ValueError, match="tabletop task must be one of cube_lift"):
        make_scene("juggle")
