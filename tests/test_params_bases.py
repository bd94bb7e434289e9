"""`ocrrl params --base`: each VLA's parameters read back valid, by LeRobot's own configuration where it trains them."""

import importlib.util

import pytest
import yaml

from ocrrl.cli import main
from ocrrl.params import Params
from ocrrl.preset_params import BASES, PRESETS, resolve

TRAINED = ("finetune", "retrain")
LEROBOT_TYPE = {"act": "act", "diffusion": "diffusion", "smolvla": "smolvla", "pi05": "pi05", "groot_n17": "groot"}


@pytest.fixture
def written(tmp_path):
    def write(*options):
        path = tmp_path / "params.yaml"
        assert main(["params", "--tasks", "cube_lift", "stack_cube", "--path", str(path), *options]) == 0
        return path

    return write


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("base", BASES)
def test_every_base_gives_each_preset_parameters_that_read_back_valid(written, preset, base):
    path = written("--preset", preset, "--base", base)
    params = Params.read(path)
    params.check()
    plain = resolve(preset, ["cube_lift", "stack_cube"])
    sections = yaml.safe_load(path.read_text())
    changed = {name for name in sections if sections[name] != plain.get(name)} - {"cameras"}
    assert changed == (set() if base == "compact" else {*TRAINED, "retrain_multitask"})
    named = f"params --preset {preset}" + ("" if base == "compact" else f" --base {base}")
    assert f"`ocrrl {named}`" in path.read_text().splitlines()[0]


@pytest.mark.parametrize("base", LEROBOT_TYPE)
def test_the_same_vla_is_trained_in_every_stage_and_task(written, base):
    params = Params.read(written("--preset", "default", "--base", base))
    configs = [params.config(section, task) for section in TRAINED for task in ("cube_lift", "stack_cube")]
    configs.append(params.multitask_config("retrain_multitask"))
    for config in configs:
        assert config.policy["type"] == LEROBOT_TYPE[base]
        assert config.trainer == ("ocrrl" if base in ("act", "diffusion") else "lerobot")
        assert config.policy == configs[0].policy and config.learning_rate == configs[0].learning_rate
    assert configs[0].steps == configs[1].steps, "a task's own steps are those of the default VLA"


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the extra vla is not installed")
@pytest.mark.parametrize("base", LEROBOT_TYPE)
def test_lerobot_s_configuration_takes_the_policy_s_fields(base):
    from ocrrl.policies.lerobot_checkpoint import policy_config_class
    from ocrrl.policies.lerobot_learner import require_fields
    from ocrrl.policies.lerobot_window import chunk_field

    policy = resolve("default", ["cube_lift"], base=base)["finetune"]["shared"]["policy"]
    require_fields(policy)
    own = {name: value for name, value in policy.items() if name not in ("type", "allow_remote_code")}
    config = policy_config_class(policy["type"], "policy.type")(**own)
    assert (getattr(config, chunk_field(policy["type"])), config.n_action_steps, config.n_obs_steps) == (16, 8, 1)
    assert hasattr(config, "optimizer_lr") and hasattr(config, "optimizer_weight_decay")


def test_the_paper_s_base_is_asked_at_a_server_and_not_trained(written):
    config = Params.read(written("--preset", "paper", "--base", "groot_n15")).config("finetune", "cube_lift")
    assert (config.policy["type"], config.policy["protocol"], config.policy["chunk_size"]) == ("remote", "gr00t", 16)
    assert config.trainer == "ocrrl"


def test_smoke_keeps_its_few_steps_with_any_base(written):
    config = Params.read(written("--preset", "smoke", "--base", "pi05")).config("finetune", "cube_lift")
    assert (config.steps, config.batch_size, config.policy["type"]) == (30, 16, "pi05")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--base", "pi05"), "--base must come with a --preset"),
        (
            ("--preset", "default", "--base", "pi0"),
            "base must be one of compact, act, diffusion, smolvla, pi05, groot_n17, groot_n15, got 'pi0'",
        ),
    ],
)
def test_a_base_that_does_not_fit_is_refused(tmp_path, capsys, options, message):
    assert main(["params", "--path", str(tmp_path / "params.yaml"), *options]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "params.yaml").exists()
