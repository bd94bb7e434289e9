import mujoco
import numpy as np

from benchmarks.visual_meshes import robot
from ocrrl.sim.visual_meshes import put_reduced_meshes, reduced_meshes


def visual_model(reduce):
    spec = robot()
    if reduce:
        put_reduced_meshes(spec)
    return spec.compile()


def test_reduced_meshes_are_those_of_the_installed_arm_at_the_same_place_with_a_quarter_of_the_triangles():
    full, reduced = visual_model(False), visual_model(True)
    drawn = {full.mesh(mesh).name for mesh in full.geom_dataid}
    assert drawn == set(reduced_meshes())
    data = [mujoco.MjData(model) for model in (full, reduced)]
    corners = []
    for model, state in zip((full, reduced), data, strict=True):
        mujoco.mj_forward(model, state)
        ends = []
        for geom, mesh in enumerate(model.geom_dataid):
            vertices = model.mesh_vert[model.mesh_vertadr[mesh] :][: model.mesh_vertnum[mesh]]
            world = vertices @ state.geom_xmat[geom].reshape(3, 3).T + state.geom_xpos[geom]
            ends.append([world.min(axis=0), world.max(axis=0)])
        corners.append(np.array(ends))
    np.testing.assert_allclose(corners[0], corners[1], atol=0.003)
    assert reduced.mesh_facenum[reduced.geom_dataid].sum() < full.mesh_facenum[full.geom_dataid].sum() / 4
