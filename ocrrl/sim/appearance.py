"""What the realistic look draws anew for each episode, and from which ranges (Tobin et al. 2017; appendix A.3).

Legend: L lights, B bodies of objects, C cameras.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

from ocrrl.sim.textures import TEXTURES, require_textures

LIGHTS = 3
"""Dim point lights in a triangle stand for one area light: the renderer has none."""
VARIANTS = 5
"""Of each texture: colours, patterns and scales."""
_STREAM = 6  # of random numbers of an episode; dynamics, tremor, tracking errors and sensor noise have others


@dataclass(frozen=True)
class Appearance:
    """How one episode looks."""

    surfaces: tuple[str, ...]
    """Names of the textures of table, walls and floor."""
    objects: tuple[str, ...]
    """Of the objects' bodies."""
    surface_variants: tuple[int, ...]
    """In [0, VARIANTS): which variant of its texture each surface has."""
    object_variants: tuple[int, ...]
    object_tints: Float[np.ndarray, "B 3"]
    light_positions: Float[np.ndarray, "L 3"]
    """[m], in the base frame."""
    light_colour: Float[np.ndarray, "3"]
    """Diffuse, of all lights together."""
    ambient_colour: Float[np.ndarray, "3"]
    camera_shifts: Float[np.ndarray, "C 3"]
    """In [-1, 1]: of the largest shift."""
    camera_turns: Float[np.ndarray, "C 3"]
    """In [-1, 1]: of the largest rotation vector, in the camera's frame."""
    fovy_scales: Float[np.ndarray, " C"]


@dataclass(frozen=True)
class AppearanceRange:
    """Uniform ranges (low, high) of the realistic look, drawn from an episode's seed alone."""

    textures: tuple[str, ...] = tuple(TEXTURES)
    """That a table, a wall, a floor or an object may have."""
    light_height: tuple[float, float] = (1.8, 2.6)
    """[m] above the table."""
    light_offset: tuple[float, float] = (0.2, 1.2)
    """[m] of the light's centre from the table's, sideways; in which direction is drawn, too."""
    light_size: tuple[float, float] = (0.2, 0.5)
    """[m] of the triangle's corners from its middle."""
    light_intensity: tuple[float, float] = (0.55, 0.90)
    ambient_intensity: tuple[float, float] = (0.35, 0.50)
    light_warmth: tuple[float, float] = (-0.06, 0.06)
    """Below 0 the light is blueish, above it reddish, by this share."""
    object_brightness: tuple[float, float] = (0.90, 1.10)
    camera_scale: tuple[float, float] = (1.0, 1.0)
    """Of the largest shifts and turns (`realistic.CAMERA_SHIFT`, `CAMERA_TURN`); 0: cameras stand where they are nominally."""
    fovy_scale: tuple[float, float] = (0.94, 1.06)

    def __post_init__(self) -> None:
        require_textures(self.textures, "textures")
        for field in fields(self)[1:]:
            low, high = getattr(self, field.name)
            least = -0.5 if field.name == "light_warmth" else 0.0
            if not least <= low <= high:
                raise ValueError(f"{field.name} must be an increasing pair from {least:g} up, got ({low}, {high})")

    def draw(self, seed: int, bodies: int, cameras: int) -> Appearance:
        """The look of the episode of `seed`, whose scene has `bodies` of objects and `cameras`."""
        generator = np.random.default_rng([seed, _STREAM])
        textures = [self.textures[i] for i in generator.integers(len(self.textures), size=3 + bodies)]
        variants = tuple(int(i) for i in generator.integers(VARIANTS, size=3 + bodies))
        warmth = generator.uniform(*self.light_warmth)
        colour = np.array([1.0 + warmth, 1.0, 1.0 - warmth])
        heading, turn = generator.uniform(0.0, 2.0 * np.pi, 2)
        centre = np.array([np.cos(heading), np.sin(heading), 0.0]) * generator.uniform(*self.light_offset)
        centre += (0.5, 0.0, generator.uniform(*self.light_height))
        corners = turn + 2 * np.pi / LIGHTS * np.arange(LIGHTS)
        triangle = generator.uniform(*self.light_size) * np.column_stack([np.cos(corners), np.sin(corners)])
        tints = generator.uniform(*self.object_brightness, (bodies, 1)) * generator.uniform(0.96, 1.04, (bodies, 3))
        reach = generator.uniform(*self.camera_scale)
        return Appearance(
            surfaces=tuple(textures[:3]),
            objects=tuple(textures[3:]),
            surface_variants=variants[:3],
            object_variants=variants[3:],
            object_tints=tints,
            light_positions=centre + np.pad(triangle, ((0, 0), (0, 1))),
            light_colour=colour * generator.uniform(*self.light_intensity),
            ambient_colour=colour * generator.uniform(*self.ambient_intensity),
            camera_shifts=reach * generator.uniform(-1.0, 1.0, (cameras, 3)),
            camera_turns=reach * generator.uniform(-1.0, 1.0, (cameras, 3)),
            fovy_scales=generator.uniform(*self.fovy_scale, cameras),
        )
