import time
from pathlib import Path

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.commands.params import write
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.params import CONFIGS, MULTITASK_CONFIGS, Params, ParamsError, chosen_cameras
from ocrrl.preset_params import PRESETS, resolve
from ocrrl.tabletop.registry import slugs
from tests.yaml_mutations import mutations


@pytest.fixture
def sections():
    return resolve("default", list(slugs()))


def test_the_committed_params_are_the_default_preset(request, sections):
    committed = request.config.rootpath / "params.yaml"
    assert yaml.safe_load(committed.read_text()) == sections, "run `ocrrl params --preset default`"
    Params.read(committed).check()
    assert len(committed.read_text().splitlines()) <= 200, "a person reads it"


def test_a_section_holds_each_value_once_and_a_task_what_it_has_otherwise(sections):
    for section in CONFIGS:
        shared = sections[section]["shared"]
        for task in slugs():
            own = sections[section][task]
            assert set(own) <= set(shared) and all(own[key] != shared[key] for key in own), (section, task)
    assert sections["finetune"]["cube_lift"] == {"steps": 400} and sections["record"]["stack_cube"] == {}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_writes_parameters_that_read_back_valid(preset, tmp_path):
    path = tmp_path / "params.yaml"
    write(resolve(preset, list(slugs())), preset, path)
    params = Params.read(path)
    params.check()
    for task in slugs():
        for section in CONFIGS:
            assert params.config(section, task) is not None
    for section in MULTITASK_CONFIGS:
        assert params.multitask_config(section) is not None


def test_parameters_of_before_there_were_coming_actions_mean_what_they_meant(sections):
    assert Params(sections).config("train_residual", "cube_lift").coming_actions == 8
    assert Params(resolve("paper", list(slugs()))).config("train_residual", "cube_lift").coming_actions == 0
    del sections["train_residual"]["shared"]["coming_actions"]
    Params(sections).check()
    assert Params(sections).config("train_residual", "cube_lift").coming_actions == 0


def test_the_paper_preset_is_table_5(tmp_path):
    path = tmp_path / "params.yaml"
    write(resolve("paper", ["cube_lift"]), "paper", path)
    config = Params.read(path).config("train_residual", "cube_lift")
    assert (config.actor_hidden, config.critic_hidden) == (512, 1024)
    assert (config.actor_lr, config.critic_lr) == (1e-5, 1e-4)
    assert (config.gamma, config.batch_size, config.offline_fraction, config.n_step) == (0.99, 256, 0.5, 3)
    assert (config.l2, config.tau, config.critic_warmup) == (0.0, 0.005, 1000)
    assert config.bc_coef == 0.0 and config.object_dropout == 0.0
    assert not (config.layer_norm or config.absorbing_success or config.clip_targets)
    assert config.gradient_steps == config.num_envs and config.stop_at_success > 1
    assert (config.max_position_noise, config.max_rotation_noise, config.dropout) == (0.005, 0.1, 0.1)


def test_the_paper_preset_has_table_5_s_columns():
    sections = resolve("paper", list(slugs()))["train_residual"]
    columns = {
        "l2": [0.0, 0.1, 1.0, 0.01, 1.0],
        "actor_lr": [1e-5, 1e-5, 3e-4, 1e-5, 1e-5],
        "critic_lr": [1e-4, 1e-4, 3e-4, 1e-4, 1e-4],
        "gamma": [0.99, 0.99, 0.95, 0.99, 0.99],
        "offline_fraction": [0.5, 0.5, 0.75, 0.3, 0.5],
        "critic_warmup": [1000, 1000, 2000, 1000, 1000],
    }
    for name, values in columns.items():
        assert [(sections["shared"] | sections[task])[name] for task in slugs()] == values, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["train_residual"]["shared"].update(gamma=1.5), r"train_residual\.shared\.gamma must be in"),
        (
            lambda s: s["train_residual"]["stack_cube"].update(gamma=1.5),
            r"train_residual\.stack_cube\.gamma must be in",
        ),
        (lambda s: s["train_residual"]["cube_lift"].update(gama=0.9), r"cube_lift\.gama is no parameter; the param"),
        (lambda s: s["train_residual"]["shared"].update(gama=0.9), r"shared\.gama is no parameter; .* mean gamma"),
        (lambda s: s["train_residual"]["shared"].pop("gamma"), r"shared\.gamma must be given"),
        (lambda s: s["train_residual"]["cube_lift"].update(gamma="high"), r"lift\.gamma must be a number, got 'high'"),
        (
            lambda s: s["record"]["shared"].update(episodes=1.5),
            r"record\.shared\.episodes must be a whole number, got 1\.5",
        ),
        (lambda s: s["record"]["cube_lift"].update(episodes=True), r"episodes must be a whole number, got True"),
        (lambda s: s["record"]["cube_lift"].update(episodes=0), r"record\.cube_lift\.episodes must be at least 1"),
        (lambda s: s.update(cameras=3), r"cameras must be a mapping of names to lists of 2 whole numbers, got 3"),
        (lambda s: s.update(cameras={}), r"cameras must name 1 to 16 cameras, got 0"),
        (lambda s: s.pop("cameras"), r"cameras must be given since version 0\.3; `ocrrl migrate` adds it, and keeps"),
        (lambda s: s["cameras"].update(front=[64]), r"cameras\.front must be a list of 2 whole numbers, got \[64\]"),
        (
            lambda s: s["cameras"].update(front=[64, 7]),
            r"yaml: cameras\.front must be a height of 16 to 480 .* got \[64, 7\]",
        ),
        (
            lambda s: s["cameras"].update(front="64x64"),
            r"cameras\.front must be a list of 2 whole numbers, got '64x64'",
        ),
        (lambda s: s.update(recrod={}), r"sections must be among .* got recrod"),
        (lambda s: s.update(loops={}), r"is of version 0\.1; `ocrrl migrate` converts it"),
        (lambda s: s["retrain_multitask"].update(steps=0), r"retrain_multitask\.steps must be at least 1, got 0"),
        (lambda s: s.pop("finetune"), r"finetune must hold shared, got nothing"),
        (lambda s: s["finetune"].pop("shared"), r"finetune must hold shared, got cube_lift, pick"),
        (lambda s: s["finetune"].pop("stack_cube"), r"finetune must hold stack_cube, got shared, .* `ocrrl params`"),
        (lambda s: s["finetune"].update(stack_cube=3), r"finetune\.stack_cube must be a mapping, got 3"),
        (
            lambda s: s["finetune"].update(juggle={}),
            r"finetune must hold shared and cube_lift, .* got juggle; remove it, or name the task in tabletop_tasks",
        ),
        (
            lambda s: s["tabletop_tasks"]["cube_lift"].update(episodes=3),
            r"tabletop_tasks\.cube_lift\.episodes must be text, got 3",
        ),
        (
            lambda s: s["tabletop_tasks"]["cube_lift"].update(episodes="data/lab"),
            r"graph\.yaml: demonstrations must be what follows from tabletop_tasks .* `ocrrl params`",
        ),
        (
            lambda s: s["tabletop_tasks"].pop("cube_lift"),
            r"record must hold shared and pick.* got cube_lift; remove it, or",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_its_full_name(sections, change, message, tmp_path):
    path = tmp_path / "params.yaml"
    write(sections, "default", path)
    change(sections)
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    with pytest.raises(ParamsError, match=message):
        Params.read(path).check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.update(last_round="round1"), r"last_round must be what follows from"),
        (lambda g: g["loops"].pop("cube_lift"), r"loops must be what follows from"),
        (lambda g: g.update(mine=1), r"mine must be a name"),
        (lambda g: g.update(mine="x"), r"mine must be what follows from"),
        (lambda g: g.pop("residuals"), r"residuals must be what follows from"),
        (lambda g: g["residuals"]["cube_lift-0"].update(seed=2.5), r"seed must be a whole number"),
    ],
)
def test_a_graph_that_does_not_follow_is_refused_with_the_command_that_writes_it(sections, change, message, tmp_path):
    path, graph = tmp_path / "params.yaml", tmp_path / "graph.yaml"
    write(sections, "default", path)
    content = yaml.safe_load(graph.read_text())
    change(content)
    graph.write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError, match=f"{message}") as told:
        Params.read(path)
    assert str(told.value).startswith(str(graph)) or "seed" in message or "residuals" in message
    graph.unlink()
    with pytest.raises(ParamsError, match=r"graph\.yaml must exist beside .*params\.yaml; `ocrrl params`"):
        Params.read(path)


def test_the_cameras_are_those_asked_for_or_declared_here_or_the_default_ones(sections, tmp_path):
    path = tmp_path / "params.yaml"
    assert chosen_cameras(path=path) == DEFAULT_CAMERAS
    write(sections | {"cameras": {"wrist": [96, 96], "front": [96, 128]}}, None, path)
    assert Params.read(path).cameras == chosen_cameras(path=path) == {"front": (96, 128), "wrist": (96, 96)}
    assert list(chosen_cameras({"wrist": (32, 32)}, path)) == ["wrist"]
    with pytest.raises(ValueError, match=r"^cameras\.wrist must be a height"):
        chosen_cameras({"wrist": (1, 32)}, path)


def test_seeds_and_rounds_become_entries_that_dvc_makes_stages_for(tmp_path):
    path = tmp_path / "params.yaml"
    write(resolve("smoke", ["cube_lift", "stack_cube"]), "smoke", path, residual_seeds=2, rounds=2)
    Params.read(path).check()
    graph = yaml.safe_load((tmp_path / "graph.yaml").read_text())
    assert list(graph["loops"]) == ["cube_lift", "stack_cube", "round1-cube_lift", "round1-stack_cube"]
    assert list(graph["residuals"])[:4] == ["cube_lift-0", "cube_lift-1", "stack_cube-0", "stack_cube-1"]
    assert list(graph["residuals"])[4:] == ["round1-cube_lift-0", "round1-stack_cube-0"]
    later = graph["later_loops"]["round1-stack_cube"]
    assert (later["task"], later["round"], later["previous"]) == ("stack_cube", "round1", "round0")
    assert graph["later_rounds"] == ["round1"] and graph["last_round"] == "round1"
    with pytest.raises(ValueError, match="residual seeds and rounds must each be at least 1, got 0 and 1"):
        write(resolve("smoke", ["cube_lift"]), "smoke", path, residual_seeds=0)


def test_sessions_and_the_round_before_are_what_a_report_depends_on(tmp_path):
    path, sessions = (
        tmp_path / "params.yaml",
        {"evaluations": ["data/sessions/fr3/cube_lift/a", "data/sessions/fr3/cube_lift/b"]},
    )
    write(resolve("smoke", ["cube_lift", "stack_cube"], {"cube_lift": sessions}), "smoke", path, rounds=2)
    graph = yaml.safe_load((tmp_path / "graph.yaml").read_text())
    own, others = (graph["demonstrations"][slug]["evaluations_folder"] for slug in ("cube_lift", "stack_cube"))
    assert (
        own == graph["evaluations_folder"] == "data/sessions/fr3/cube_lift"
        and others == "ocrrl/report/evaluation_sessions.py"
    )
    assert [graph["reports"][name]["earlier"] for name in ("round0", "round1")] == [
        "ocrrl/report/rounds.py",
        "data/reports/round0/multitask",
    ]
    assert Params.read(path).tabletop_tasks["cube_lift"].evaluations == tuple(sessions["evaluations"])


def test_the_latency_of_the_vlas_is_what_their_training_depends_on(tmp_path):
    path = tmp_path / "params.yaml"
    write(resolve("smoke", ["cube_lift", "stack_cube"], {"stack_cube": {"latency": "lab/pi05.json"}}), "smoke", path)
    params = Params.read(path)
    assert (params.latency("cube_lift"), params.latency("stack_cube")) == (None, Path("lab/pi05.json"))
    graph = yaml.safe_load((tmp_path / "graph.yaml").read_text())
    assert graph["latency"] == "lab/pi05.json"
    path.write_text(path.read_text().replace("lab/pi05.json", "lab/smolvla.json"))
    with pytest.raises(ParamsError, match=r"graph\.yaml: latency must be what follows from tabletop_tasks"):
        Params.read(path)


@pytest.fixture
def params(tmp_path, capsys):
    """Runs `ocrrl params` on a smoke preset of two rounds whose Cube Lift has values of the user's own."""
    path = tmp_path / "params.yaml"
    write(resolve("smoke", ["cube_lift", "stack_cube"]), "smoke", path, rounds=2)
    path.write_text(path.read_text().replace("  cube_lift: {}", "  cube_lift: {}  # mine", 1))
    assert path.read_text().count("# mine") == 1

    def run(*options):
        code = main(["params", "--path", str(path), *options])
        said = capsys.readouterr()
        return code, said.out + said.err, *(yaml.safe_load(p.read_text()) for p in (path, tmp_path / "graph.yaml"))

    return run


def test_naming_one_s_own_demonstrations_changes_that_and_nothing_else(params, tmp_path):
    before = yaml.safe_load((tmp_path / "params.yaml").read_text())
    code, _, after, graph = params("--episodes", "cube_lift=data/episodes/cube_lift/lab")
    assert code == 0 and "# mine" in (tmp_path / "params.yaml").read_text(), "comments stay"
    Params.read(tmp_path / "params.yaml").check()
    places = [after["tabletop_tasks"]["cube_lift"], graph["demonstrations"]["cube_lift"]]
    places += [graph["loops"]["cube_lift"], graph["loops"]["round1-cube_lift"]]
    assert [place["episodes"] for place in places] == ["data/episodes/cube_lift/lab"] * 4
    assert after | {"tabletop_tasks": 0} == before | {"tabletop_tasks": 0}


def test_a_change_by_hand_is_followed_by_the_command(params, tmp_path):
    path = tmp_path / "params.yaml"
    sections = yaml.safe_load(path.read_text())
    sections["tabletop_tasks"] |= {"close_drawer": {"episodes": "data/lab"}}
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    with pytest.raises(ParamsError, match=r"graph\.yaml: tasks must be what follows from tabletop_tasks"):
        Params.read(path)
    code, _, after, graph = params()
    assert code == 0 and after["finetune"]["close_drawer"] == {}
    assert str(Params.read(path).episodes_folder("close_drawer")) == "data/lab"
    assert "close_drawer-0" in graph["residuals"] and graph["last_round"] == "round1"
    Params.read(path).check()


def test_a_task_that_is_no_longer_named_leaves_with_its_empty_entries_but_never_with_a_value(tmp_path, capsys):
    path = tmp_path / "params.yaml"
    write(resolve("smoke", ["cube_lift", "stand_cup_up"]), "smoke", path)
    sections = yaml.safe_load(path.read_text())
    del sections["tabletop_tasks"]["stand_cup_up"]
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    assert main(["params", "--path", str(path)]) == 0
    assert "stand_cup_up" not in path.read_text() + (tmp_path / "graph.yaml").read_text()
    Params.read(path).check()
    sections = yaml.safe_load(path.read_text())
    sections["record"]["stand_cup_up"] = {"episodes": 7}
    path.write_text(text := yaml.safe_dump(sections, sort_keys=False))
    assert main(["params", "--path", str(path)]) == 1 and path.read_text() == text
    assert "record must hold shared and cube_lift" in capsys.readouterr().err


def test_a_preset_keeps_the_demonstrations_that_were_named_and_says_so(params):
    params("--episodes", "cube_lift=data/lab")
    code, said, after, graph = params("--preset", "default", "--tasks", "cube_lift", "close_drawer", "--rounds", "3")
    assert code == 0 and "demonstrations of cube_lift stay data/lab" in said and "close_drawer stay" not in said
    assert {loop["episodes"] for loop in graph["loops"].values() if loop["task"] == "cube_lift"} == {"data/lab"}
    assert graph["rounds"] == ["round0", "round1", "round2"] and "stack_cube" not in after["tabletop_tasks"]


def test_rounds_and_seeds_are_changed_without_a_preset_and_params_yaml_stays(params, tmp_path):
    before = (tmp_path / "params.yaml").read_text()
    _, _, _, graph = params("--rounds", "1", "--residual-seeds", "2")
    assert graph["rounds"] == ["round0"] and set(graph["residuals"]) == {
        *("cube_lift-0", "cube_lift-1", "stack_cube-0", "stack_cube-1")
    }
    assert (tmp_path / "params.yaml").read_text() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--episodes", "cube_lift"), "--episodes must name each as TASK=FOLDER, got 'cube_lift'"),
        (
            ("--episodes", "close_drawer=x"),
            "tabletop_tasks must hold close_drawer to name its episodes, got cube_lift, st",
        ),
        (("--tasks", "cube_lift"), "--tasks must come with a --preset"),
        (("--residual-seeds", "0"), "residual seeds and rounds must each be at least 1, got 0 and 2"),
        (
            ("--preset", "smoke", "--tasks", "cube_lift", "--episodes", "stack_cube=x"),
            "--episodes must be of cube_lift, got",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused_and_the_file_stays(params, tmp_path, options, message):
    before = (tmp_path / "params.yaml").read_text()
    code, said, *_ = params(*options)
    assert code == 1 and message in said
    assert (tmp_path / "params.yaml").read_text() == before


def test_a_missing_file_says_how_to_write_it(tmp_path):
    with pytest.raises(ParamsError, match="ocrrl params --preset default"):
        Params.read(tmp_path / "params.yaml")


def test_numbers_in_exponent_notation_are_numbers(sections, tmp_path):
    path = tmp_path / "params.yaml"
    write(sections, "default", path)
    sections["train_residual"]["cube_lift"]["actor_lr"] = "1e-4"
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    assert Params.read(path).config("train_residual", "cube_lift").actor_lr == 1e-4


def test_parameters_that_do_not_fit_on_the_disk_leave_the_old_ones(tmp_path, monkeypatch):
    path, link = tmp_path / "params.yaml", tmp_path / "link.yaml"
    link.symlink_to("params.yaml")
    write(resolve("smoke", ["cube_lift"]), "smoke", link)
    before = path.read_text()
    assert link.is_symlink() and before

    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write(resolve("smoke", ["stack_cube"]), "smoke", path)
    assert path.read_text() == before and len(list(tmp_path.iterdir())) == 3


def test_a_folder_of_episodes_is_one_line_of_printable_text_or_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("a\nb", "\x1b[2Jx", " "):
        assert main(["params", "--preset", "smoke", "--episodes", f"cube_lift={folder}"]) == 1
        assert "tabletop_tasks.cube_lift.episodes must be a path" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["params", "--preset", "smoke", "--episodes", "cube_lift=/elsewhere/my recordings é"]) == 0


def test_damaged_parameters_are_read_or_refused_in_one_line(tmp_path):
    """300 mutations of params.yaml, one seed: values, keys, lines, bytes and bombs of aliases."""
    path, refused = tmp_path / "params.yaml", 0
    write(resolve("default", ["cube_lift", "stack_cube"]), "default", path, residual_seeds=2, rounds=2)
    for done, content in mutations(path.read_text(), count=300, seed=14):
        path.write_bytes(content)
        start = time.perf_counter()
        try:
            Params.read(path).check()
        except ParamsError as error:
            said = str(error)
            refused += 1
            assert "\n" not in said and len(said) < 2000 and str(path) in said and "\x1b" not in said, done
        assert time.perf_counter() - start < 2, done
    assert refused > 200
