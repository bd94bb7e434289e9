"""Residuals that observe something else than object poses, what they ask of an environment, and how each is asked.

Legend: N environments, n of them selected by ids (n,); O tracked objects, P numbers of the robot's observation, K of privileged state,
C of the base's chunks.
"""

from collections.abc import Callable
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.cameras import CameraSizes, described
from ocrrl.interface.observations import (
    ACTION_FEATURES,
    ROBOT_FEATURES,
    Images,
    Observation,
    action_features,
    chunk_features_dim,
    residual_observation,
    robot_features,
)
from ocrrl.interface.protocols import Capture, Environment, Residual
from ocrrl.interface.stall import FadeIn, FadingIn

MOST_COMING_ACTIONS = 100
Look = Literal["plain", "realistic"]
LOOKS: tuple[Look, ...] = get_args(Look)
"""How the training simulator may draw images for a policy beside the VLA."""
ObservationKind = Literal["objects", "images", "privileged", "distilled"]
"""What a residual observes, as params.yaml and config.json name it."""


@runtime_checkable
class ImageResidual(Protocol):
    """A residual that is given images in place of object poses."""

    every: int
    """As `protocols.Residual`, as are the next two."""
    chunk_phase: bool
    coming_actions: int
    cameras: CameraSizes
    """Which images it is given, and their sizes; the VLA may be given others."""
    look: Look
    """How the training simulator drew them; a simulator to evaluate it in is made with the same (`worlds.make_environment`)."""

    def residual_of_images(
        self, images: Images, robot_observation: Float[np.ndarray, "n P"]
    ) -> Float[np.ndarray, "n 7"]:
        """Changes of the base action, in the units of an action."""
        ...


@runtime_checkable
class PrivilegedResidual(Residual, Protocol):
    """A residual whose observation goes on with what only a simulator knows: it teaches, and is never deployed."""

    privileged: bool


@runtime_checkable
class FadesIn(Residual, Protocol):
    """A residual of object poses that may wait until its base stalls."""

    fade_in: FadeIn | None
    """None: it acts from the first step on."""


AnyResidual = Residual | ImageResidual
NOT_PRIVILEGED = (
    "must know true velocities and contact forces, which only the simulator does, got a residual with observation: privileged, a "
    "teacher: train its student with observation: distilled, and deploy that"
)
"""What is said of a cell that a teacher is to be deployed in."""


@runtime_checkable
class CapturesAtAnySize(Protocol):
    """An environment that takes images with any of its cameras at any size: a simulator, a twin."""

    def capture_at(self, ids: Int[np.ndarray, " n"], cameras: CameraSizes) -> Images:
        """Images of the environments `ids` from `cameras`; ValueError where the scene has not got one of them."""
        ...


@runtime_checkable
class Redressable(Protocol):
    """A simulator whose realistic look can be drawn anew within an episode."""

    def redress(self, ids: Int[np.ndarray, " n"], seeds: Int[np.ndarray, " n"]) -> None:
        """Draw the look of the environments `ids` from `seeds`, until their next reset."""
        ...


class PrivilegedReader(Protocol):
    """Object velocities, and contact forces on objects and fingers."""

    dim: int
    """K."""

    def read(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n K"]:
        """Of the environments `ids`, of order one."""
        ...


@runtime_checkable
class KnowsPrivilegedState(Protocol):
    """A simulator that tells what no camera and no tracker does."""

    @property
    def privileged(self) -> PrivilegedReader:
        """What it tells."""
        ...


def robot_observation_dim(chunk_phase: bool = False, coming_actions: int = 0) -> int:
    """P, the length of `robot_observation`."""
    return ROBOT_FEATURES + ACTION_FEATURES + chunk_features_dim(chunk_phase, coming_actions)


def robot_observation(
    observation: Observation, base_action: np.ndarray, chunk_features: Float[np.ndarray, "n C"] | None = None
) -> Float[np.ndarray, "n P"]:
    """What a residual of images is given beside them, float32: `observations.residual_observation` without the objects."""
    chunks = [] if chunk_features is None else [chunk_features]
    columns = [robot_features(observation), action_features(base_action), *chunks]
    return np.concatenate(columns, axis=-1).astype(np.float32)


def privileged_observation(
    observation: Observation,
    base_action: np.ndarray,
    chunk_features: Float[np.ndarray, "n C"] | None,
    privileged_state: Float[np.ndarray, "n K"],
) -> Float[np.ndarray, "n D"]:
    """`residual_observation` of true poses, all visible, and then `privileged_state`, float32."""
    visible = np.ones(observation.object_poses.shape[:2], bool)
    seen = residual_observation(observation, base_action, visible, chunk_features)
    return np.concatenate([seen, privileged_state], axis=-1, dtype=np.float32)


def images_at(environment: Environment, cameras: CameraSizes) -> Callable[[Int[np.ndarray, " n"], Capture], Images]:
    """How images of `cameras` are taken in `environment`, given ids and the `Capture` of the instant.

    A cell that cannot take them at another size than its own gives those that it has; ValueError, when they are first taken, unless
    it has these cameras at these sizes.
    """
    if isinstance(environment, CapturesAtAnySize):
        return lambda ids, capture: environment.capture_at(ids, cameras)

    def taken(ids: np.ndarray, capture: Capture) -> Images:
        images = capture(ids)
        require_images({name: image.shape[1:3] for name, image in images.items()}, cameras, f"cell {environment.cell}")
        return {name: images[name] for name in cameras}

    return taken


def require_images(found: CameraSizes, needed: CameraSizes, owner: str) -> None:
    """ValueError unless `owner`, which takes images of the cameras `found`, takes those that a residual `needed` in training."""
    if any(tuple(found.get(name, ())) != tuple(size) for name, size in needed.items()):
        raise ValueError(
            f"{owner} must take the images that the residual was trained with, {described(needed)}, got {described(found)}: declare "
            "these under `cameras` in params.yaml, or train the residual with train_residual.images.size of the cell's images"
        )


Correct = Callable[
    [
        Int[np.ndarray, " n"],
        Observation,
        Float[np.ndarray, "n 7"],
        Bool[np.ndarray, "n O"],
        Float[np.ndarray, "n C"] | None,
        Capture,
    ],
    Float[np.ndarray, "n 7"],
]
"""Asks a residual for environments `ids`, given observation, base action, visible objects, chunk features and `Capture` of now."""


def correction(environment: Environment, residual: AnyResidual) -> Correct:
    """How `residual` is asked in `environment`, from one batch of episodes to its end, with all that scales or vetoes it.

    ValueError for a privileged one in a cell that knows no true state.
    """
    if isinstance(residual, ImageResidual):
        images = images_at(environment, residual.cameras)
        return lambda ids, observation, base_action, visible, chunks, capture: residual.residual_of_images(
            images(ids, capture), robot_observation(observation, base_action, chunks)
        )
    if isinstance(residual, PrivilegedResidual):
        state = require_privileged_state(environment)
        return lambda ids, observation, base_action, visible, chunks, capture: residual.residual(
            privileged_observation(observation, base_action, chunks, state.read(ids))
        )
    fade_in = residual.fade_in if isinstance(residual, FadesIn) else None
    objects = len(environment.tabletop_task.objects)
    fading = None if fade_in is None else FadingIn(fade_in, environment.num_envs, objects, residual.every)

    def correct(
        ids: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        visible: np.ndarray,
        chunks: np.ndarray | None,
        capture: Capture,
    ) -> np.ndarray:
        change = residual.residual(residual_observation(observation, base_action, visible, chunks))
        return change if fading is None else change * fading.scale(ids, observation, visible)

    return correct


def require_privileged_state(environment: Environment) -> PrivilegedReader:
    """What `environment` knows of its true state; ValueError for any cell but the training simulator."""
    if not isinstance(environment, KnowsPrivilegedState):
        raise ValueError(f"cell {environment.cell} {NOT_PRIVILEGED}")
    return environment.privileged
