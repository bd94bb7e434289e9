"""The visual meshes of the robot's last links with fewer triangles, for images that are taken often.

`visual_meshes.npz` holds them; `python -m benchmarks.visual_meshes` writes it from franky-sim's (Apache-2.0, see its NOTICE):
by mesh name, vertices (V, 3) int16 [0.01 mm] and triangles (T, 3) uint16.
"""

# pyright: reportAttributeAccessIssue=false
from functools import cache
from pathlib import Path

import mujoco
import numpy as np

FILE = Path(__file__).with_name("visual_meshes.npz")
UNIT = 1e-5
"""[m], of a stored coordinate; an int16 reaches 0.33 m."""


def put_reduced_meshes(spec: mujoco.MjSpec) -> None:
    """Replace the meshes of `spec` that the file has a reduced form of, by name."""
    reduced = reduced_meshes()
    for mesh in spec.meshes:
        if mesh.name in reduced:
            vertices, triangles = reduced[mesh.name]
            mesh.file = ""
            mesh.uservert, mesh.userface = vertices.ravel(), triangles.ravel()


@cache
def reduced_meshes() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Vertices (V, 3) [m] and triangles (T, 3) by the name of the mesh in franky-sim's MJCF."""
    with np.load(FILE, allow_pickle=False) as stored:
        names = sorted({key.split("/")[0] for key in stored.files})
        return {name: (stored[f"{name}/vertices"] * UNIT, stored[f"{name}/triangles"].astype(int)) for name in names}
