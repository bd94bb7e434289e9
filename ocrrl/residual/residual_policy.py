"""The trained residual for evaluation and the robot: numpy only, a forward pass under 0.1 ms.

Its folder holds `actor.safetensors` (weights, biases, scale), `config.json` (what it was trained for) and `curve.json`; with a gate
also the critics that it asks.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import safetensors.numpy
from jaxtyping import Float

from ocrrl import files
from ocrrl.config_builder import build
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.interface.model_folder import require_model_folder
from ocrrl.interface.observations import chunk_features_dim, residual_observation_dim
from ocrrl.interface.renamed import current_names
from ocrrl.interface.residual_observations import MOST_COMING_ACTIONS, ObservationKind, robot_observation_dim
from ocrrl.interface.stall import FadeIn
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.interface.weights_file import read_weights_file
from ocrrl.residual.images.image_policy import Actor, ImageResidualPolicy, images_of, load_images, save_encoder
from ocrrl.residual.perceptron import perceptron
from ocrrl.residual.residual_config import ACTION_UNITS
from ocrrl.residual.restraint.critic_gate import CriticGate, load_gate, save_gate
from ocrrl.residual.restraint.learn_then_test import Calibration

FORMAT_VERSION = 4
"""Version 3, of 0.1, differs in names alone (`interface.renamed`) and is read as well."""
RESTRAINED_VERSION = 5
"""Version 4 with a gate or a wait, which older code would not obey: it refuses the folder."""
OBSERVATIONS = get_args(ObservationKind)
_MOST_EVERY = 1000  # control steps
_MOST_PRIVILEGED = 1000  # numbers


class ResidualPolicy:
    """pi_res, an `interface.protocols.Residual`: residual observations to residuals in the action's units."""

    def __init__(
        self,
        weights: dict[str, np.ndarray],
        scale: Float[np.ndarray, " 7"],
        layer_norm: bool,
        every: int = 1,
        chunk_delay: int = 0,
        chunk_phase: bool = False,
        coming_actions: int = 0,
        gate: CriticGate | None = None,
        fade_in: FadeIn | None = None,
    ) -> None:
        """`weights` holds weight0..2 (inputs, outputs) and bias0..2 (outputs,), as `TD3.actor_weights` gives them.

        `chunk_delay` is the largest delay of the base's chunks [control steps] that it was trained with, `chunk_phase` whether it is
        given the phase of these chunks, `coming_actions` how many of their further actions (`interface.protocols.Residual`). `gate`
        scales or vetoes what it answers, `fade_in` has it wait for a base that stalls (`interface.residual_observations.correction`).
        """
        self.weights = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}
        self.scale = np.asarray(scale, np.float32)
        self.layer_norm = layer_norm
        self.every = every
        self.chunk_delay, self.chunk_phase, self.coming_actions = chunk_delay, chunk_phase, coming_actions
        self.gate, self.fade_in = gate, fade_in

    @property
    def observation_dim(self) -> int:
        return self.weights["weight0"].shape[0]

    def residual(self, residual_observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """Residuals [m, rad, opening] for `residual_observation` of D numbers each, float32."""
        change = np.tanh(perceptron(residual_observation, self.weights, self.layer_norm)) * self.scale
        if self.gate is None:
            return change
        after = chunk_features_dim(self.chunk_phase, self.coming_actions)
        return change * self.gate.scale(residual_observation, change, after)


class PrivilegedPolicy(ResidualPolicy):
    """A teacher, `interface.residual_observations.PrivilegedResidual`: its observation goes on with what only a simulator knows."""

    privileged = True


TrainedPolicy = ResidualPolicy | ImageResidualPolicy
Calibrate = Callable[[ResidualPolicy], Calibration]
"""Tries a policy's gate with several margins on validation states."""


def calibrated(policy: TrainedPolicy, calibrate: Calibrate | None) -> dict[str, Any]:
    """Set the margin of the policy's gate to what `calibrate` chooses; what config.json is to say of it. Nothing without a gate."""
    if calibrate is None or not isinstance(policy, ResidualPolicy) or policy.gate is None:
        return {}
    calibration = calibrate(policy)
    policy.gate = replace(policy.gate, margin=calibration.margin)
    return {"gate": {"calibration": calibration.described()}}


def save_residual(folder: Path, policy: TrainedPolicy, tabletop_task: TabletopTask, details: dict[str, Any]) -> None:
    """Write `policy` into `folder`; `details` (JSON) join what `load_residual` checks in config.json."""
    actor: Actor = policy.actor if isinstance(policy, ImageResidualPolicy) else policy
    tensors = actor.weights | {"scale": actor.scale}
    files.write_bytes(folder / "actor.safetensors", safetensors.numpy.save(tensors))
    described = {
        "format_version": FORMAT_VERSION,
        "tabletop_task": tabletop_task.slug,
        "observation_dim": actor.observation_dim,
        "action_dim": ACTION_DIM,
        "layer_norm": actor.layer_norm,
        "action_repeat": actor.every,
        "residual_scale": [float(x) for x in actor.scale],
    }
    late = {"chunk_delay": actor.chunk_delay} if actor.chunk_delay else {}
    phase = {"chunk_phase": True} if actor.chunk_phase else {}
    coming = {"coming_actions": actor.coming_actions} if actor.coming_actions else {}
    observed = {"observation": "privileged"} if isinstance(policy, PrivilegedPolicy) else {}
    restraint: dict[str, Any] = {}
    if isinstance(policy, ImageResidualPolicy):
        observed = save_encoder(folder, policy)
    else:
        if policy.gate is not None:
            restraint["gate"] = details.get("gate", {}) | save_gate(folder, policy.gate)
        if policy.fade_in is not None:
            restraint["fade_in"] = asdict(policy.fade_in)
    if restraint:
        described["format_version"] = RESTRAINED_VERSION
    files.write_json(folder / "config.json", details | described | late | phase | coming | observed | restraint)


def load_residual(folder: Path, tabletop_task: TabletopTask) -> TrainedPolicy:
    """The residual policy in `folder`, made for `tabletop_task`.

    Raises FileNotFoundError when a file is missing, ValueError naming the file and the field when it was trained for another
    tabletop task, format or observation, or is damaged.
    """
    folder = Path(folder)
    for name in ("config.json", "actor.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"residual policy {folder} must hold config.json and actor.safetensors, {name} is missing"
            )
    require_model_folder(folder)
    where = folder / "config.json"
    config: dict[str, Any] = read_json_object(where)
    if config.get("format_version") == 3:
        config = current_names("train_residual", config) | {"format_version": FORMAT_VERSION}
    if config.get("format_version") == RESTRAINED_VERSION:
        config = config | {"format_version": FORMAT_VERSION}
    phase = config.get("chunk_phase", False)
    if not isinstance(phase, bool):
        raise ValueError(f"{where}: chunk_phase must be true or false, got {said(phase)}")
    coming = config.get("coming_actions", 0)
    if type(coming) is not int or not 0 <= coming <= MOST_COMING_ACTIONS:
        raise ValueError(
            f"{where}: coming_actions must be a whole number from 0 to {MOST_COMING_ACTIONS}, got {said(coming)}"
        )
    observation = config.get("observation", "objects")
    if observation not in OBSERVATIONS:
        raise ValueError(f"{where}: observation must be one of {', '.join(OBSERVATIONS)}, got {said(observation)}")
    dim, images = residual_observation_dim(tabletop_task, phase, coming), None
    if observation == "privileged":
        found = config.get("observation_dim")
        dim = found if type(found) is int and dim < found <= dim + _MOST_PRIVILEGED else dim + 1
    elif observation != "objects":
        images = images_of(config, where)
        dim = images.features + robot_observation_dim(phase, coming)
    expected = {
        "format_version": FORMAT_VERSION,
        "tabletop_task": tabletop_task.slug,
        "observation_dim": dim,
        "action_dim": ACTION_DIM,
    }
    for name, value in expected.items():
        if config.get(name) != value or type(config.get(name)) is not type(value):
            raise ValueError(f"{where}: {name} must be {value!r}, got {said(config.get(name))}")
    every = config.get("action_repeat")
    if not isinstance(config.get("layer_norm"), bool):
        raise ValueError(f"{where}: layer_norm must be true or false, got {said(config.get('layer_norm'))}")
    if type(every) is not int or not 1 <= every <= _MOST_EVERY:
        raise ValueError(f"{where}: action_repeat must be a whole number from 1 to {_MOST_EVERY}, got {said(every)}")
    chunk_delay = config.get("chunk_delay", 0)
    if type(chunk_delay) is not int or chunk_delay < 0:
        raise ValueError(f"{where}: chunk_delay must be a whole number of at least 0, got {said(chunk_delay)}")
    tensors = _read_weights(folder / "actor.safetensors", dim)
    scale = tensors.pop("scale")
    if not (scale > 0).all() or config.get("residual_scale") != [float(x) for x in scale]:
        raise ValueError(
            f"{where}: residual_scale must be the seven numbers above 0 that actor.safetensors has as scale, "
            f"{[float(x) for x in scale]}, got {said(config.get('residual_scale'))}"
        )
    kind = PrivilegedPolicy if observation == "privileged" else ResidualPolicy
    policy = kind(tensors, scale, config["layer_norm"], every, chunk_delay, phase, coming)
    if observation == "objects":
        policy.fade_in = _fade_in(config.get("fade_in"), where)
        if config.get("gate") is not None:
            units = scale / ACTION_UNITS
            policy.gate = load_gate(folder, config["gate"], str(where), dim, policy.layer_norm, units)
    return policy if images is None else load_images(folder, policy, images, observation)


def _fade_in(described: Any, where: Path) -> FadeIn | None:
    if described is None:
        return None
    return build(FadeIn, described, f"{where}: fade_in", complete=False)


def _read_weights(path: Path, inputs: int) -> dict[str, np.ndarray]:
    """The actor's tensors, checked in the file's header and for NaN; two hidden layers of any one width each."""
    weights = read_weights_file(path)
    widths = [
        weights.tensors[name].shape[0] if name in weights.tensors and len(weights.tensors[name].shape) == 1 else 0
        for name in ("bias0", "bias1")
    ]
    sizes = (inputs, *widths, ACTION_DIM)
    shapes: dict[str, tuple[int, ...]] = {f"weight{i}": sizes[i : i + 2] for i in range(3)}
    shapes |= {f"bias{i}": sizes[i + 1 : i + 2] for i in range(3)}
    weights.require(shapes | {"scale": (ACTION_DIM,)}, "a residual policy")
    weights.require_finite()
    return safetensors.numpy.load_file(path)
