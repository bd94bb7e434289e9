"""Procedural textures of table tops, walls, floors and objects: noise, wood grain, tiles. None is downloaded.

A texture is an image (size, size, 3), uint8 RGB, that repeats without a seam.
"""

from collections.abc import Callable, Collection

import numpy as np
from jaxtyping import Float, UInt8

Image = UInt8[np.ndarray, "S S 3"]
Field = Float[np.ndarray, "S S"]

WOODS = ((0.78, 0.62, 0.43), (0.62, 0.43, 0.26), (0.42, 0.27, 0.17), (0.85, 0.75, 0.60))
"""RGB of oak, cherry, walnut and birch."""
STONES = ((0.80, 0.79, 0.76), (0.55, 0.54, 0.52), (0.33, 0.33, 0.34), (0.70, 0.62, 0.52))
CLOTHS = ((0.60, 0.58, 0.54), (0.40, 0.42, 0.38), (0.72, 0.66, 0.55), (0.46, 0.36, 0.33))
PAINTS = ((0.88, 0.87, 0.83), (0.74, 0.76, 0.74), (0.83, 0.76, 0.66), (0.62, 0.66, 0.62))


def smooth_noise(generator: np.random.Generator, size: int, cells: tuple[int, int]) -> Field:
    """Noise in about [-1, 1] with `cells` bumps down and across (spectral synthesis: white noise under a Gaussian low-pass)."""
    down, across = np.fft.fftfreq(size, 1 / size)[:, None], np.fft.rfftfreq(size, 1 / size)[None]
    low_pass = np.exp(-0.5 * ((down / cells[0]) ** 2 + (across / cells[1]) ** 2))
    field = np.fft.irfft2(np.fft.rfft2(generator.standard_normal((size, size))) * low_pass, s=(size, size))
    return field / (2.5 * field.std())


def noise(generator: np.random.Generator, size: int) -> Image:
    """Stone or laminate: a base colour, clouds and speckles."""
    clouds, speckles = smooth_noise(generator, size, (4, 4)), smooth_noise(generator, size, (size // 3, size // 3))
    depth = generator.uniform(0.02, 0.10)
    return _coloured(_one_of(generator, STONES), 0.06 * clouds + depth * speckles)


def wood(generator: np.random.Generator, size: int) -> Image:
    """Wood grain along the first axis: planks, growth rings that the noise bends, and pores."""
    planks = int(generator.integers(2, 6))
    across = np.arange(size)[None] / size
    plank = np.floor(across * planks).astype(int)
    bend = smooth_noise(generator, size, (2, 10))
    rings = np.sin(2 * np.pi * (generator.integers(18, 40) * across + 2.0 * bend + 0.37 * plank))
    pores = smooth_noise(generator, size, (6, size // 3))
    shade = generator.uniform(-0.05, 0.05, planks)[plank]
    joints = np.where((across * planks) % 1.0 < 1.5 * planks / size, -0.18, 0.0)
    return _coloured(_one_of(generator, WOODS), 0.035 * rings + 0.05 * pores + 0.05 * bend + shade + joints)


def tiles(generator: np.random.Generator, size: int) -> Image:
    """Square tiles with grout between them, each of its own shade."""
    count = int(generator.integers(3, 7))
    place = np.arange(size) * count / size
    row, column = np.meshgrid(place.astype(int), place.astype(int), indexing="ij")
    shade = generator.uniform(-0.05, 0.05, (count, count))[row, column]
    grout = (np.minimum.outer(place % 1.0, place % 1.0) < 0.06).astype(float)
    paint = _one_of(generator, PAINTS + STONES)
    clouds = 0.04 * smooth_noise(generator, size, (12, 12))
    return _coloured(paint, shade * (1 - grout) - 0.22 * grout + clouds)


def cloth(generator: np.random.Generator, size: int) -> Image:
    """A woven table cloth."""
    threads = size // 4
    phase = 2 * np.pi * threads * np.arange(size) / size
    weave = np.sin(phase)[:, None] * np.sin(phase)[None]
    wear = smooth_noise(generator, size, (5, 5))
    return _coloured(_one_of(generator, CLOTHS), 0.07 * weave + 0.06 * wear)


def plaster(generator: np.random.Generator, size: int) -> Image:
    """A painted wall."""
    return _coloured(_one_of(generator, PAINTS), 0.03 * smooth_noise(generator, size, (30, 30)))


TEXTURES: dict[str, Callable[[np.random.Generator, int], Image]] = {
    "noise": noise,
    "wood": wood,
    "tiles": tiles,
    "cloth": cloth,
    "plaster": plaster,
}


def require_textures(names: Collection[str], where: str) -> None:
    """ValueError that begins with `where` and names the known textures, unless each of `names` (one or more) is one."""
    unknown = [name for name in names if name not in TEXTURES]
    if unknown or not names:
        got = repr(unknown[0]) if unknown else "none"
        raise ValueError(f"{where} must be one or more of {', '.join(TEXTURES)}, got {got}")


def _one_of(generator: np.random.Generator, colours: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    """One of `colours`, a little lighter or darker, warmer or cooler."""
    colour = np.asarray(colours[generator.integers(len(colours))])
    return colour * generator.uniform(0.9, 1.1) * (1.0 + generator.uniform(-0.04, 0.04, 3))


def _coloured(colour: np.ndarray, relief: Field) -> Image:
    """`colour` (3,), lighter and darker by the share `relief`."""
    return (255 * np.clip(colour * (1.0 + relief[..., None]), 0.0, 1.0)).astype(np.uint8)
