"""NVIDIA's foundation-pose-inference-library as a backend of the pose server, written from its documentation.

Its Python package `foundation_pose_nvidia` needs a GPU, a driver of 580 or later and TensorRT, so it has not been run here;
docs/foundation_pose.md says how to set it up. One estimator an object: `register` searches, `track` refines the last pose.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ocrrl.interface import rotations
from ocrrl.perception.remote.protocol import PoseReply, PoseRequest

MESH_SUFFIXES = (".ply", ".obj")


def open_backend(meshes: Path) -> "FoundationPoseBackend":
    """The backend for the objects whose meshes lie in `meshes` as `<object>.ply` or `<object>.obj`, in metres.

    Raises RuntimeError where the library is not installed, ValueError for a folder without meshes.
    """
    try:
        import foundation_pose_nvidia  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RuntimeError(
            f"foundation_pose_nvidia must be installed where the pose server runs, got: {error}; see docs/foundation_pose.md"
        ) from error
    return FoundationPoseBackend(meshes, foundation_pose_nvidia)


class FoundationPoseBackend:
    """`PoseBackend`; an object's estimator is made when it is first registered, for which TensorRT may take minutes."""

    def __init__(self, meshes: Path, library: ModuleType) -> None:
        self._library = library
        self._meshes = {path.stem: path for path in sorted(meshes.glob("*")) if path.suffix in MESH_SUFFIXES}
        if not self._meshes:
            raise ValueError(f"{meshes} must hold <object>{' or <object>'.join(MESH_SUFFIXES)}, got none")
        self._estimators: dict[str, Any] = {}  # the library's, which has no types here

    def register(self, request: PoseRequest) -> PoseReply:
        if request.mask is None:
            raise ValueError(f"{request.object_name} must be registered with a mask, got none")
        estimator = self._estimator(request)
        return _reply(estimator.register(self._frame(request, np.where(request.mask, 255, 0).astype(np.uint8))))

    def track(self, request: PoseRequest) -> PoseReply:
        return _reply(self._estimator(request).track(self._frame(request)))

    def _estimator(self, request: PoseRequest) -> Any:
        name, library = request.object_name, self._library
        if name not in self._meshes:
            raise ValueError(f"{name} must be one of the meshes {', '.join(self._meshes)}")
        if name not in self._estimators:
            options = library.EstimatorOptions.from_env(str(self._meshes[name]), mesh_unit_scale=1.0)
            size = request.intrinsics
            config = library.RuntimeConfig(max_image_width=size.width, max_image_height=size.height)
            # Entered for good: an estimator lives as long as its server.
            self._estimators[name] = library.Estimator(options, config).__enter__()
        return self._estimators[name]

    def _frame(self, request: PoseRequest, mask: np.ndarray | None = None) -> Any:
        k = request.intrinsics
        matrix = np.array([[k.fx, 0.0, k.cx], [0.0, k.fy, k.cy], [0.0, 0.0, 1.0]], np.float32)
        images = (np.array(request.colour), np.array(request.depth), matrix)  # copies: the library may write to them
        return self._library.RgbdFrame(*images) if mask is None else self._library.RgbdFrame(*images, mask)


def _reply(result: Any) -> PoseReply:
    matrix = np.asarray(result.pose, float)  # (4, 4), object to camera
    pose = np.concatenate([matrix[:3, 3], rotations.from_matrix(matrix[:3, :3])])
    return PoseReply(pose, float(result.score), float(result.elapsed_s))
