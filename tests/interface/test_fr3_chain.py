"""Franka's own numbers against the scene's model of the arm."""

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.worlds import make_simulator


def test_the_documented_chain_is_the_scene_s():
    scene = make_simulator("cube_lift", 1).kinematics
    np.testing.assert_allclose(FR3.joint_limits, scene.joint_limits, atol=1e-3)
    low, high = FR3.joint_limits.T
    q = np.random.default_rng(0).uniform(low, high, (200, 7))
    (ours, our_jacobian), (theirs, their_jacobian) = FR3.jacobian(q), scene.jacobian(q)
    np.testing.assert_allclose(ours[:, :3], theirs[:, :3], atol=1e-4)
    turns = rotations.to_rotation_vector(rotations.multiply(ours[:, 3:], rotations.conjugate(theirs[:, 3:])))
    assert np.abs(turns).max() < 1e-4
    np.testing.assert_allclose(our_jacobian, their_jacobian, atol=1e-4)
