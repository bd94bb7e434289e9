"""The configurations for other trainers run against stand-ins for the names that they import, and fit the dataset."""

import importlib.util
import json
import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import yaml

from tests.datasets.export.exported import exported
from tests.datasets.export.v21_reader import read_v21

OTHERS = {
    "gr00t.data.dataset": ["ModalityConfig"],
    "gr00t.data.transform.base": ["ComposedModalityTransform"],
    "gr00t.data.transform.concat": ["ConcatTransform"],
    "gr00t.data.transform.state_action": ["StateActionToTensor", "StateActionTransform"],
    "gr00t.data.transform.video": ["VideoColorJitter", "VideoCrop", "VideoResize", "VideoToNumpy", "VideoToTensor"],
    "gr00t.experiment.data_config": ["BaseDataConfig"],
    "gr00t.model.transforms": ["GR00TTransform"],
    "gr00t.data.types": ["ActionConfig", "ModalityConfig"],
    "openpi.models.pi0_config": ["Pi0Config"],
    "openpi.training.weight_loaders": ["CheckpointWeightLoader"],
}


@dataclass
class Recorded:
    """A stand-in that keeps what it was made with."""

    made: dict = field(default_factory=dict)

    def __init__(self, *places, **made):
        self.places, self.made = places, made


def stand_in(monkeypatch, name: str, **names) -> ModuleType:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        if path not in sys.modules or not getattr(sys.modules[path], "stands_in", False):
            module = ModuleType(path)
            module.stands_in, module.__path__ = True, []
            monkeypatch.setitem(sys.modules, path, module)
            if end > 1:
                setattr(sys.modules[".".join(parts[: end - 1])], parts[end - 1], module)
    for key, value in names.items():
        setattr(sys.modules[name], key, value)
    return sys.modules[name]


@pytest.fixture
def others(monkeypatch):
    """Stand-ins for Isaac-GR00T and openpi; what was registered is returned."""
    registered = {}
    for module, names in OTHERS.items():
        stand_in(monkeypatch, module, **{name: type(name, (Recorded,), {}) for name in names})
    anything = SimpleNamespace(
        ABSOLUTE="absolute", NON_EEF="non_eef", DEFAULT="default", NEW_EMBODIMENT="new_embodiment"
    )
    stand_in(monkeypatch, "gr00t.data.types", ActionFormat=anything, ActionRepresentation=anything, ActionType=anything)
    stand_in(monkeypatch, "gr00t.data.embodiment_tags", EmbodimentTag=anything)
    stand_in(
        monkeypatch,
        "gr00t.configs.data.embodiment_configs",
        register_modality_config=lambda config, embodiment_tag: registered.update({embodiment_tag: config}),
    )
    stand_in(monkeypatch, "openpi.models.model", ModelType=SimpleNamespace(PI05="pi05", PI0_FAST="pi0_fast"))
    named = {name: type(name, (Recorded,), {}) for name in ("Group", "RepackTransform")}
    named["RepackTransform"].__init__ = lambda self, structure: setattr(self, "structure", structure)
    stand_in(monkeypatch, "openpi.transforms", DataTransformFn=object, **named)

    @dataclass(frozen=True)
    class DataConfig:
        prompt_from_task: bool = False
        repack_transforms: object = None
        data_transforms: object = None
        model_transforms: object = None
        action_sequence_keys: tuple = ("actions",)

    @dataclass(frozen=True)
    class DataConfigFactory:
        repo_id: str
        base_config: DataConfig

        def create_base_config(self, assets_dirs, model_config):
            return self.base_config

    stand_in(
        monkeypatch,
        "openpi.training.config",
        DataConfig=DataConfig,
        DataConfigFactory=DataConfigFactory,
        ModelTransformFactory=lambda: lambda model: "model transforms",
        TrainConfig=type("TrainConfig", (Recorded,), {}),
        _CONFIGS_DICT=registered,
    )
    return registered


def run_file(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def export(toy_dataset, tmp_path_factory):
    return exported(toy_dataset[0], tmp_path_factory.mktemp("exports") / "lab" / "cube", "--gr00t", "--openpi")


def test_modality_json_slices_the_columns(export):
    modality, dataset = json.loads((export / "meta/modality.json").read_text()), read_v21(export)
    assert set(modality) == {"state", "action", "video", "annotation"}
    for kind, key in (("state", "observation.state"), ("action", "action")):
        covered = []
        for entry in modality[kind].values():
            assert set(entry) - {"rotation_type"} == {"start", "end", "original_key", "absolute"}
            assert entry["original_key"] == key
            covered += range(entry["start"], entry["end"])
        assert covered == list(range(dataset.columns[key].shape[1]))
    assert modality["action"]["eef_rotation_delta"] == {
        "start": 3, "end": 6, "original_key": "action", "absolute": False, "rotation_type": "axis_angle",
    }  # fmt: skip
    assert modality["action"]["gripper_position"]["absolute"]
    assert modality["video"] == {camera: {"original_key": f"observation.images.{camera}"} for camera in dataset.images}


def test_the_configuration_for_n15_names_what_modality_json_has(export, others):
    config = run_file(export / "configs/ocrrl_gr00t_n15.py").OcrrlDataConfig()
    modality = json.loads((export / "meta/modality.json").read_text())
    keys = {kind: entry.made["modality_keys"] for kind, entry in config.modality_config().items()}
    assert keys == {
        **{kind: [f"{kind}.{name}" for name in modality[kind]] for kind in ("video", "state", "action")},
        "language": ["annotation.human.action.task_description"],
    }
    assert config.modality_config()["action"].made["delta_indices"] == list(range(16))
    transforms = config.transform().made["transforms"]
    state = next(t for t in transforms if type(t).__name__ == "StateActionTransform").made
    assert state["target_rotations"] == {"state.eef_rotation": "rotation_6d"}
    assert set(state["normalization_modes"]) | set(state["target_rotations"]) == set(keys["state"])


def test_the_configuration_for_n16_registers_the_new_embodiment(export, others):
    run_file(export / "configs/ocrrl_gr00t_n16.py")
    config = others["new_embodiment"]
    assert config["action"].made["modality_keys"] == ["eef_position_delta", "eef_rotation_delta", "gripper_position"]
    assert len(config["action"].made["action_configs"]) == 3
    assert config["language"].made["modality_keys"] == ["annotation.human.action.task_description"]


def test_the_configuration_for_openpi_turns_the_datasets_rows_into_the_models_inputs(export, others):
    module = run_file(export / "configs/ocrrl_openpi.py")
    module.register()
    train = others["ocrrl"].made
    assert train["data"].repo_id == "lab/cube"
    model = SimpleNamespace(model_type="pi05")
    config = train["data"].create("assets", model)
    assert config.prompt_from_task and config.action_sequence_keys == ("action",)
    [repack] = config.repack_transforms.made["inputs"]
    dataset = read_v21(export)
    row = {
        "observation.state": dataset.columns["observation.state"][0],
        "action": dataset.columns["action"][:16],
        "prompt": dataset.tasks[0],
    } | {
        f"observation.images.{camera}": np.moveaxis(frames[0] / 255.0, -1, 0)
        for camera, frames in dataset.images.items()
    }
    repacked = {new: row[old] for new, old in repack.structure.items()}
    [to_model], [from_model] = config.data_transforms.made["inputs"], config.data_transforms.made["outputs"]
    inputs = to_model(repacked)
    assert inputs["image"]["base_0_rgb"].shape == (32, 32, 3) and inputs["image"]["base_0_rgb"].dtype == np.uint8
    assert abs(inputs["image"]["base_0_rgb"].astype(int) - dataset.images["front"][0]).max() <= 1
    assert inputs["image_mask"]["base_0_rgb"] and not inputs["image_mask"]["right_wrist_0_rgb"]
    assert inputs["actions"].shape == (16, 7) and inputs["prompt"] == dataset.tasks[0]
    assert from_model({"actions": np.zeros((16, 32))})["actions"].shape == (16, 7)


def test_the_files_name_how_to_train_serve_and_ask(export):
    commands = (export / "configs/commands.txt").read_text()
    for part in (
        f"--dataset-path {export}",
        "--data-config ocrrl_gr00t_n15:OcrrlDataConfig --embodiment-tag new_embodiment",
        f"--modality-config-path {export}/configs/ocrrl_gr00t_n16.py",
        f"HF_LEROBOT_HOME={export.parent.parent} ",
        "scripts/compute_norm_stats.py --config-name ocrrl",
    ):
        assert part in commands
    gr00t, openpi = (
        yaml.safe_load((export / f"configs/policy_{name}.yaml").read_text())["policy"] for name in ("gr00t", "openpi")
    )
    assert gr00t["actions"]["command_position"] == "eef_position_delta"
    assert gr00t["state"]["eef_rotation"] == "gripper_quaternion_wxyz"
    assert openpi["cameras"]["front"] == "observation/image" and openpi["actions"] == {}


@pytest.mark.parametrize("name", ["ocrrl_gr00t_n15", "ocrrl_gr00t_n16", "ocrrl_openpi"])
def test_the_files_are_formatted_python(export, name):
    compile((export / f"configs/{name}.py").read_text(), name, "exec")
