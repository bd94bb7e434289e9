import pytest
import yaml

from ocrrl.interface.tabletop_tasks import TABLETOP_TASKS
from ocrrl.params import CONFIGS, PRESETS, Params, ParamsError, resolve, write


@pytest.fixture
def sections():
    return resolve("default", list(TABLETOP_TASKS))


def test_the_committed_params_are_the_default_preset(request, sections):
    committed = yaml.safe_load((request.config.rootpath / "params.yaml").read_text())
    assert committed == sections, "run `ocrrl params --preset default`"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_writes_parameters_that_read_back_valid(preset, tmp_path):
    path = tmp_path / "params.yaml"
    write(resolve(preset, list(TABLETOP_TASKS)), preset, path)
    params = Params.read(path)
    params.check()
    for task in TABLETOP_TASKS:
        for section in CONFIGS:
            assert params.config(section, task) is not None


def test_the_paper_preset_is_table_5(tmp_path):
    path = tmp_path / "params.yaml"
    write(resolve("paper", ["cube_lift"]), "paper", path)
    config = Params.read(path).config("train_residual", "cube_lift")
    assert (config.actor_hidden, config.critic_hidden) == (512, 1024)
    assert (config.actor_lr, config.critic_lr) == (1e-5, 1e-4)
    assert (config.gamma, config.batch, config.offline_fraction, config.n_step) == (0.99, 256, 0.5, 3)
    assert (config.l2, config.tau, config.critic_warmup) == (0.0, 0.005, 1000)
    assert config.behaviour_cloning == 0.0 and config.object_dropout == 0.0
    assert not (config.layer_norm or config.absorbing_success or config.clip_targets)
    assert config.updates_per_step == config.num_envs and config.stop_at_success > 1
    assert (config.max_position_noise, config.max_rotation_noise, config.dropout) == (0.005, 0.1, 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["train_residual"]["cube_lift"].update(gamma=1.5), r"train_residual\.cube_lift\.gamma must be in"),
        (lambda s: s["train_residual"]["cube_lift"].update(gama=0.9), r"cube_lift\.gama is no parameter; the param"),
        (lambda s: s["train_residual"]["cube_lift"].pop("gamma"), r"cube_lift\.gamma must be given"),
        (lambda s: s["train_residual"]["cube_lift"].update(gamma="high"), r"gamma must be of type float, got 'high'"),
        (lambda s: s["record"]["cube_lift"].update(episodes=1.5), r"record\.cube_lift\.episodes must be of type int"),
        (lambda s: s["record"]["cube_lift"].update(episodes=True), r"episodes must be of type int, got True"),
        (lambda s: s["record"]["cube_lift"].update(episodes=0), r"record\.cube_lift\.episodes must be at least 1"),
        (lambda s: s.update(recrod={}), r"sections must be among .* got recrod"),
        (lambda s: s.pop("finetune"), r"finetune must hold cube_lift, got nothing"),
        (lambda s: s["tabletop_tasks"]["cube_lift"].update(episodes=3), r"must hold the one key episodes"),
    ],
)
def test_a_wrong_value_is_refused_by_its_full_name(sections, change, message, tmp_path):
    change(sections)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(sections))
    with pytest.raises(ParamsError, match=message):
        Params.read(path).check()


def test_a_missing_file_says_how_to_write_it(tmp_path):
    with pytest.raises(ParamsError, match="ocrrl params --preset default"):
        Params.read(tmp_path / "params.yaml")


def test_numbers_in_exponent_notation_are_numbers(sections, tmp_path):
    path = tmp_path / "params.yaml"
    sections["train_residual"]["cube_lift"]["actor_lr"] = "1e-4"
    path.write_text(yaml.safe_dump(sections))
    assert Params.read(path).config("train_residual", "cube_lift").actor_lr == 1e-4
