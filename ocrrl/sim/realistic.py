"""The realistic look of the training simulator (appendix A.3): visual meshes, textures, soft light, a room.

MuJoCo's renderer has no area lights, no soft shadows and no physically based materials. Three dim lights stand for an area light;
a shadow is the caster flattened onto the table, once for each light, so that it has a penumbra; light is computed at the
vertices. Shadows fall on the table alone.
"""

# pyright: reportAttributeAccessIssue=false
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import mujoco
import numpy as np

from ocrrl.interface import rotations
from ocrrl.sim.appearance import LIGHTS, VARIANTS, Appearance, AppearanceRange
from ocrrl.sim.scene import CAMERAS, COLLISION_GROUP, Look, compile_scene, robot_and_table
from ocrrl.sim.textures import TEXTURES
from ocrrl.tabletop.parts.object_shapes import ObjectShape, Ring, TruncatedCone
from ocrrl.tabletop.parts.scene import TabletopScene

FOVY = {"front": 36.0, "wrist": 72.0}
"""[deg], of what a VLA sees of the wire twin's cameras (its cell file cuts it from a D435's image)."""
CAMERA_SHIFT, HAND_CAMERA_SHIFT = 0.05, 0.012  # [m], the largest along each axis
CAMERA_TURN, HAND_CAMERA_TURN = np.deg2rad(4.0), np.deg2rad(3.0)  # [rad]
SURFACE_PIXELS, OBJECT_PIXELS = 256, 64
SHADOW, FADING = 0.22, 0.15  # opacity of one light's shadow, and height of the caster [m] over which it falls to 1/e
REPEATS = (1.2, 2.6)  # of a surface's texture, a metre
_LAYER, _FLATNESS = 3e-4, 1e-4  # [m], between the lights' shadows; thickness of one as a share of its caster's
_TEXTURE_SEED = 21
_UNTOUCHABLE = {"contype": 0, "conaffinity": 0, "mass": 0.0}
_SURFACES = (("table_top",), ("wall0", "wall1", "wall2", "wall3"), ("floor",))


class RealisticLook:
    """A scene's model to draw with, and how it is changed for each episode; implements `renderer.Dressing`."""

    def __init__(self, scene: TabletopScene, ranges: AppearanceRange | None = None):
        cameras = {name: replace(camera, fovy=FOVY[name]) for name, camera in CAMERAS.items()}
        spec = robot_and_table(Look(visual_meshes=True, cameras=cameras))
        robot = {body.name for body in spec.bodies}
        scene.add_objects(spec)
        of_objects = [body for body in spec.bodies if body.name not in robot]
        _smooth_round_objects(spec, getattr(sys.modules[type(scene).__module__], "SHAPES", {}))
        for body in of_objects:
            for k, geom in enumerate(body.geoms):
                geom.name = geom.name or f"{body.name}/geom{k}"
        _add_room(spec)
        _add_lights(spec)
        _add_materials(spec)
        casters = _add_shadows(spec, [body for body in of_objects if body.parent.name == "world"])
        self._drawn = [[geom.name for geom in body.geoms if geom.group != COLLISION_GROUP] for body in of_objects]
        self.model = model = compile_scene(spec)
        self._ranges = ranges or AppearanceRange()
        self._casters = np.array([model.geom(name).id for name in casters])
        self._shadows = np.array([[model.geom(f"shadow/{name}/{k}").id for name in casters] for k in range(LIGHTS)])
        model.geom_rbound[self._shadows] = 0.0  # as of a plane: a shadow is larger than its caster, and always drawn
        self._changes = lru_cache(maxsize=4096)(self._changes_for)

    def appearance(self, seed: int) -> Appearance:
        """The look of the episode of `seed`."""
        return self._ranges.draw(seed, len(self._drawn), self.model.ncam)

    def dress(self, model: mujoco.MjModel, seed: int) -> None:
        for name, values in self._changes(seed).items():
            getattr(model, name)[:] = values

    def shade(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Flatten each caster onto the table along each light's ray through its middle."""
        middles = data.geom_xpos[self._casters]  # (S, 3)
        rays = middles - model.light_pos[:, None]  # (L, S, 3)
        flatten = np.tile(np.eye(3), (*rays.shape[:2], 1, 1))
        flatten[..., :2, 2] = -rays[..., :2] / rays[..., 2:]
        flatten[..., 2, 2] = _FLATNESS  # not 0: the renderer inverts it
        heights = np.broadcast_to(_LAYER * np.arange(1, LIGHTS + 1)[:, None], rays.shape[:2])
        places = middles + flatten[..., 2] * (middles[:, 2] - heights)[..., None]
        places[..., 2] = heights
        data.geom_xpos[self._shadows] = places
        matrices = flatten @ data.geom_xmat[self._casters].reshape(-1, 3, 3)
        data.geom_xmat[self._shadows] = matrices.reshape(*rays.shape[:2], 9)
        model.geom_rgba[self._shadows, 3] = SHADOW * np.exp(-np.maximum(middles[:, 2], 0.0) / FADING)

    def _changes_for(self, seed: int) -> dict[str, np.ndarray]:
        """The model's fields that the look of `seed` changes."""
        model, look = self.model, self.appearance(seed)
        materials, colours = model.geom_matid.copy(), model.geom_rgba.copy()
        for names, texture, variant in zip(_SURFACES, look.surfaces, look.surface_variants, strict=True):
            for name in names:
                materials[model.geom(name).id] = self._material("surface", texture, variant)
        for names, texture, variant, tint in zip(
            self._drawn, look.objects, look.object_variants, look.object_tints, strict=True
        ):
            for geom in (model.geom(name).id for name in names):
                kind = "round" if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH else "object"
                materials[geom] = self._material(kind, texture, variant)
                colours[geom, :3] = np.clip(colours[geom, :3] * tint, 0.0, 1.0)
        on_hand = (model.cam_bodyid == model.body("hand").id)[:, None]
        shifts = np.where(on_hand, HAND_CAMERA_SHIFT, CAMERA_SHIFT) * look.camera_shifts
        turns = np.where(on_hand, HAND_CAMERA_TURN, CAMERA_TURN) * look.camera_turns
        rays = (0.5, 0.0, 0.0) - look.light_positions
        return {
            "geom_matid": materials,
            "geom_rgba": colours,
            "light_pos": look.light_positions,
            "light_dir": rays / np.linalg.norm(rays, axis=1, keepdims=True),
            "light_diffuse": look.light_colour / LIGHTS,
            "light_ambient": look.ambient_colour / LIGHTS,
            "cam_pos": model.cam_pos + shifts,
            "cam_quat": rotations.multiply(model.cam_quat, rotations.from_rotation_vector(turns)),
            "cam_fovy": model.cam_fovy * look.fovy_scales,
        }

    def _material(self, kind: str, texture: str, variant: int) -> int:
        return self.model.material(f"{kind}/{texture}/{variant}").id


def _smooth_round_objects(spec: mujoco.MjSpec, shapes: Mapping[str, ObjectShape]) -> None:
    """Draw objects that are round about their z axis as their `shapes` are, not as the slices and boxes that collide."""
    for name, shape in shapes.items():
        round_parts = [primitive for primitive in shape.primitives if isinstance(primitive, TruncatedCone | Ring)]
        if len(round_parts) < len(shape.primitives):
            continue
        if (body := spec.body(name)) is None:
            continue
        for geom in body.geoms:
            geom.group = COLLISION_GROUP
        for k, primitive in enumerate(round_parts):
            vertices, triangles = turned(primitive)
            mesh = spec.add_mesh(name=f"{name}/{k}", uservert=vertices.ravel(), userface=triangles.ravel())
            mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_MESH,
                name=mesh.name,
                meshname=mesh.name,
                rgba=[*shape.colour, 1.0],
                mass=0.0,
                contype=0,
                conaffinity=0,
            )


def turned(primitive: TruncatedCone | Ring, segments: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and triangles (T, 3) of the surface; edges are sharp, since each face has its own vertices."""
    h = primitive.half_height
    if isinstance(primitive, Ring):
        inner, outer = primitive.radius - primitive.thickness / 2, primitive.radius + primitive.thickness / 2
        profile = [(inner, -h), (outer, -h), (outer, h), (inner, h), (inner, -h)]
    else:
        profile = [(0.0, -h), (primitive.bottom_radius, -h), (primitive.top_radius, h), (0.0, h)]
    angles = 2 * np.pi * np.arange(segments) / segments
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    this = np.arange(segments)
    following = (this + 1) % segments
    vertices, triangles = [], []
    for (r0, z0), (r1, z1) in pairwise(profile):
        start = segments * len(vertices)
        a, b, c, d = start + this, start + following, start + segments + this, start + segments + following
        vertices += [np.column_stack([r * circle, np.full(segments, z)]) for r, z in ((r0, z0), (r1, z1))]
        triangles += [np.column_stack(t) for t, r in (((a, b, d), r0), ((a, d, c), r1)) if r > 0]
    return np.concatenate(vertices) + primitive.centre, np.concatenate(triangles)


def _add_room(spec: mujoco.MjSpec) -> None:
    world, plane = spec.worldbody, mujoco.mjtGeom.mjGEOM_PLANE
    spec.geom("table").group = COLLISION_GROUP
    world.add_geom(
        name="table_top", type=mujoco.mjtGeom.mjGEOM_BOX, pos=[0.45, 0, -0.02], size=[0.7, 0.8, 0.02], **_UNTOUCHABLE
    )
    world.add_geom(name="floor", type=plane, pos=[0.45, 0, -0.75], size=[3, 3, 1], **_UNTOUCHABLE)
    for k in range(4):
        inwards = np.array([np.cos(k * np.pi / 2), np.sin(k * np.pi / 2), 0.0])
        quat = np.zeros(4)
        mujoco.mju_quatZ2Vec(quat, inwards)
        world.add_geom(
            name=f"wall{k}", type=plane, pos=[0.45, 0, 0.75] - 2.0 * inwards, quat=quat, size=[2, 2, 1], **_UNTOUCHABLE
        )


def _add_lights(spec: mujoco.MjSpec) -> None:
    for light in list(spec.lights):
        spec.delete(light)
    spec.visual.headlight.active = 0
    for _ in range(LIGHTS):  # spots as wide as can be: the renderer lights nothing by a point light
        spec.worldbody.add_light(cutoff=85.0, exponent=0.0, specular=[0.05] * 3, castshadow=False)


def _add_shadows(spec: mujoco.MjSpec, bodies: list[mujoco.MjsBody]) -> list[str]:
    """Shadows of the largest part of each of `bodies` and of the hand, for each light; returns the casters' names."""
    drawn = [[geom for geom in body.geoms if geom.group != COLLISION_GROUP] for body in bodies]
    casters = [max(geoms, key=lambda geom: max(geom.size)) for geoms in drawn if geoms]
    casters.append(spec.geom("palm"))
    for geom in casters:
        for light in range(LIGHTS):
            spec.worldbody.add_geom(
                name=f"shadow/{geom.name}/{light}",
                type=geom.type,
                size=geom.size,
                meshname=geom.meshname,
                rgba=[0, 0, 0, SHADOW],
                **_UNTOUCHABLE,
            )
    return [geom.name for geom in casters]


def surface(texture: str, variant: int) -> np.ndarray:
    """The image (S, S, 3) uint8 of a table, wall or floor with `texture`."""
    return TEXTURES[texture](_generator(texture, variant), SURFACE_PIXELS)


def _generator(texture: str, variant: int) -> np.random.Generator:
    return np.random.default_rng([_TEXTURE_SEED, list(TEXTURES).index(texture), variant])


def _add_materials(spec: mujoco.MjSpec) -> None:
    """A material for each texture, variant and kind: surfaces are textured by place, objects by direction from their middle."""
    for name in TEXTURES:
        for variant in range(VARIANTS):
            image = surface(name, variant)
            repeat = [_generator(name, variant).uniform(*REPEATS)] * 2
            wide = {"texuniform": True, "texrepeat": repeat, "specular": 0.3, "shininess": 0.3}
            _add_material(spec, f"surface/{name}/{variant}", mujoco.mjtTexture.mjTEXTURE_2D, image, wide)
            relief = image[:OBJECT_PIXELS, :OBJECT_PIXELS].mean(axis=2, keepdims=True)
            side = np.tile(
                np.clip(relief * (235 / relief.mean()), 0, 255).astype(np.uint8), 3
            )  # an object keeps its colour
            grain = {"texuniform": True, "texrepeat": [8.0, 8.0], "specular": 0.3, "shininess": 0.4}
            _add_material(spec, f"round/{name}/{variant}", mujoco.mjtTexture.mjTEXTURE_2D, side, grain)
            cube, finish = np.tile(side, (6, 1, 1)), {"specular": 0.3, "shininess": 0.4}
            _add_material(spec, f"object/{name}/{variant}", mujoco.mjtTexture.mjTEXTURE_CUBE, cube, finish)


def _add_material(
    spec: mujoco.MjSpec, name: str, kind: mujoco.mjtTexture, image: np.ndarray, properties: Mapping[str, object]
) -> None:
    height, width = image.shape[:2]
    texture = spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
    texture.data = image.tobytes()
    spec.add_material(name=name, **properties).textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
