"""Writes the visual meshes of the robot's last links with fewer triangles: ocrrl/sim/visual_meshes.npz, from those of franky-sim.

    python -m benchmarks.visual_meshes [--look side_by_side.png]

Vertices within 0.3 mm are one first: franky-sim's meshes have a vertex for each normal, which would count as an open edge, and no
quadric edge collapse (Garland and Heckbert 1997) closes those. `--look` draws these links with both.
"""

# pyright: reportAttributeAccessIssue=false
import argparse
from pathlib import Path

import franky_sim
import mujoco
import numpy as np
from PIL import Image

from ocrrl.sim.scene import DETAILED_LINKS
from ocrrl.sim.visual_meshes import FILE, UNIT, put_reduced_meshes

WELD = 3e-4  # [m] within which vertices are one
SMALL = 2500  # triangles up to which a mesh stays as it is
TARGET = 700  # triangles of a mesh; most end with more, since the collapse stops where a shape would change
AGGRESSIVENESS = 2  # of the collapse; from 4 on the links' round shells become polyhedra
POSE = (0.0, -0.3, 0.0, -2.2, 0.0, 2.0, 0.785, 0.04, 0.04)  # [rad], [m]: of the arm in the picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", type=Path, help="picture to write of the arm with the full and the reduced meshes")
    options = parser.parse_args()
    before, stored, after = 0, dict[str, np.ndarray](), 0
    for name, (vertices, triangles) in visual_meshes().items():
        before += len(triangles)
        vertices, triangles = reduced(vertices, triangles)
        after += len(triangles)
        stored[f"{name}/vertices"] = np.rint(vertices / UNIT).astype(np.int16)
        stored[f"{name}/triangles"] = triangles.astype(np.uint16)
    np.savez_compressed(FILE, allow_pickle=False, **stored)
    print(f"{before:,} triangles -> {after:,}, {FILE.stat().st_size / 1e3:.0f} kB")
    if options.look:
        Image.fromarray(np.concatenate([portrait(reduce) for reduce in (False, True)], axis=1)).save(options.look)


def robot() -> mujoco.MjSpec:
    """franky-sim's arm, of which the last links alone are drawn, with their visual meshes."""
    assets = Path(franky_sim.__file__).parent / "assets"
    spec = mujoco.MjSpec.from_file(str(assets / "fr3.xml"))
    spec.meshdir = str(assets / "meshes")
    for body in spec.bodies:
        for geom in list(body.geoms):
            if geom.classname.name != "visual" or body.name not in DETAILED_LINKS:
                spec.delete(geom)
    return spec


def visual_meshes() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Vertices (V, 3) [m] and triangles (T, 3) by name, in the frames of the MJCF."""
    model, meshes = robot().compile(), {}
    used = sorted({int(model.geom_dataid[geom]) for geom in range(model.ngeom)})
    for mesh in used:
        vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]]
        matrix = np.zeros(9)
        mujoco.mju_quat2Mat(matrix, model.mesh_quat[mesh])  # MuJoCo keeps vertices in the frame of the mesh's inertia
        placed = vertices @ matrix.reshape(3, 3).T + model.mesh_pos[mesh]
        meshes[model.mesh(mesh).name] = placed, model.mesh_face[model.mesh_faceadr[mesh] :][: model.mesh_facenum[mesh]]
    return meshes


def reduced(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles with a tenth of the triangles or so; a mesh of up to `SMALL` stays as it is."""
    import fast_simplification

    if len(triangles) <= SMALL:
        return vertices, triangles
    welded, index = np.unique(np.rint(vertices / WELD), axis=0, return_inverse=True)
    triangles = index.reshape(-1)[triangles]
    a, b, c = triangles.T
    triangles = triangles[(a != b) & (b != c) & (c != a)]
    if len(triangles) <= TARGET:
        return welded * WELD, triangles
    points, faces, *_ = fast_simplification.simplify(welded * WELD, triangles, target_count=TARGET, agg=AGGRESSIVENESS)
    return points, faces


def portrait(reduce: bool) -> np.ndarray:
    """The arm from its right, with the reduced meshes or the full ones."""
    spec = robot()
    if reduce:
        put_reduced_meshes(spec)
    for x, y in ((1.0, -1.0), (1.0, 1.0), (0.2, 0.0)):
        spec.worldbody.add_light(pos=[x, y, 2], dir=[-x, -y, -2], diffuse=[0.35] * 3, castshadow=False)
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 700, 700
    model = spec.compile()
    data, camera = mujoco.MjData(model), mujoco.MjvCamera()
    data.qpos[:] = POSE
    mujoco.mj_forward(model, data)
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (0.5, 0.0, 0.5), 0.5, 135, -20
    with mujoco.Renderer(model, 700, 700) as renderer:
        renderer.update_scene(data, camera)
        return renderer.render().copy()


if __name__ == "__main__":
    main()
