"""Signed distance of an object made of primitives, its gradient, and where a ray comes nearest to it; compiled.

Legend: rows (P, 7) hold one primitive each: kind, three sizes, centre [m]; x, y, z [m] in the object's frame. The
distance is negative inside. Formulas of the box and the truncated cone: Quilez, "Distance functions".
"""

import numpy as np

from ocrrl.perception.tracking.fitting.compiled import compiled
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape, Ring, TruncatedCone

BOX, CONE, RING = 0.0, 1.0, 2.0
_TINY = 1e-12
_FAR = 1e9


def primitive_rows(shape: ObjectShape, solid: bool = False) -> np.ndarray:
    """Rows (P, 7) of a shape's primitives; `solid` fills rings, which gives its outline convex parts."""
    rows = []
    for primitive in shape.primitives:
        match primitive:
            case Box():
                sizes = (BOX, *primitive.half_size)
            case TruncatedCone():
                sizes = (CONE, primitive.bottom_radius, primitive.top_radius, primitive.half_height)
            case Ring() if solid:
                outer = primitive.radius + primitive.thickness / 2
                sizes = (CONE, outer, outer, primitive.half_height)
            case Ring():
                sizes = (RING, primitive.radius, primitive.thickness / 2, primitive.half_height)
        rows.append((*sizes, *primitive.centre))
    return np.array(rows, np.float64)


@compiled
def signed_distance(rows, x, y, z):
    """Distance [m] of a point from the union's surface, and the gradient's three components."""
    distance, gx, gy, gz = _FAR, 0.0, 0.0, 0.0
    for i in range(rows.shape[0]):
        kind, a, b, c = rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3]
        px, py, pz = x - rows[i, 4], y - rows[i, 5], z - rows[i, 6]
        if kind == BOX:
            d, hx, hy, hz = _box(px, py, pz, a, b, c)
        else:
            rho = np.sqrt(px * px + py * py)
            if kind == CONE:
                d, radial, hz = _cone(rho, pz, a, b, c)
            else:
                d, radial, hz = _rectangle(rho - a, pz, b, c)
            ux, uy = (px / rho, py / rho) if rho > 1e-9 else (1.0, 0.0)
            hx, hy = radial * ux, radial * uy
        if d < distance:
            distance, gx, gy, gz = d, hx, hy, hz
    return distance, gx, gy, gz


@compiled
def signed_distances(rows, points):
    """Distances (n,) [m] of points (n, 3) from the union's surface."""
    distances = np.empty(len(points))
    for i in range(len(points)):
        distances[i] = signed_distance(rows, points[i, 0], points[i, 1], points[i, 2])[0]
    return distances


@compiled
def nearest_on_ray(rows, ox, oy, oz, dx, dy, dz, start, end):
    """Least signed distance [m] along the ray between `start` and `end` [m], and where.

    Golden section a primitive: the distance from a convex body is convex along a line. `rows` must not hold rings.
    """
    golden = 0.6180339887498949
    best, where = _FAR, start
    for i in range(rows.shape[0]):
        row = rows[i : i + 1]
        low, high = start, end
        first, second = high - golden * (high - low), low + golden * (high - low)
        f = signed_distance(row, ox + first * dx, oy + first * dy, oz + first * dz)[0]
        g = signed_distance(row, ox + second * dx, oy + second * dy, oz + second * dz)[0]
        while high - low > 0.002:
            if f < g:
                high, second, g = second, first, f
                first = high - golden * (high - low)
                f = signed_distance(row, ox + first * dx, oy + first * dy, oz + first * dz)[0]
            else:
                low, first, f = first, second, g
                second = low + golden * (high - low)
                g = signed_distance(row, ox + second * dx, oy + second * dy, oz + second * dz)[0]
        d, t = (f, first) if f < g else (g, second)
        if d < best:
            best, where = d, t
    return best, where


@compiled
def rays_within(rows, radius, origin, rays, reach):
    """Whether each ray (n, 3) from `origin` passes the body within `reach` [m]; `radius` [m] encloses it. No rings."""
    within = np.zeros(len(rays), np.bool_)
    for i in range(len(rays)):
        dx, dy, dz = rays[i, 0], rays[i, 1], rays[i, 2]
        squared = dx * dx + dy * dy + dz * dz
        along = -(origin[0] * dx + origin[1] * dy + origin[2] * dz) / squared
        px, py, pz = origin[0] + along * dx, origin[1] + along * dy, origin[2] + along * dz
        if px * px + py * py + pz * pz < (radius + reach) ** 2:
            half = radius / np.sqrt(squared)
            ox, oy, oz = origin[0], origin[1], origin[2]
            within[i] = nearest_on_ray(rows, ox, oy, oz, dx, dy, dz, along - half, along + half)[0] < reach
    return within


@compiled
def first_hit(rows, ox, oy, oz, dx, dy, dz, start, end):
    """Distance [m] along the ray, of unit length, of the first surface between `start` and `end`; negative where there is none.

    A box by its slabs (Kay and Kajiya 1986), the others by sphere tracing (Hart 1996): a step of the distance to the surface
    never passes through it.
    """
    best = -1.0
    for i in range(rows.shape[0]):
        if rows[i, 0] == BOX:
            t = _box_hit(
                ox - rows[i, 4], oy - rows[i, 5], oz - rows[i, 6], dx, dy, dz, rows[i, 1], rows[i, 2], rows[i, 3]
            )
        else:
            t = _traced_hit(rows[i : i + 1], ox, oy, oz, dx, dy, dz, start, end)
        if start <= t <= end and (best < 0.0 or t < best):
            best = t
    return best


@compiled
def _traced_hit(row, ox, oy, oz, dx, dy, dz, start, end):
    t = start
    for _ in range(64):
        d = signed_distance(row, ox + t * dx, oy + t * dy, oz + t * dz)[0]
        if d < 2e-4:
            return t
        t += d
        if t > end:
            return -1.0
    return -1.0


@compiled
def _box_hit(ox, oy, oz, dx, dy, dz, a, b, c):
    enter, leave = -_FAR, _FAR
    for o, d, half in ((ox, dx, a), (oy, dy, b), (oz, dz, c)):
        if abs(d) < _TINY:
            if abs(o) > half:
                return -1.0
        else:
            first, second = (-half - o) / d, (half - o) / d
            enter, leave = max(enter, min(first, second)), min(leave, max(first, second))
    return enter if enter <= leave else -1.0


@compiled
def turn_back(rotation, x, y, z):
    """A vector of the base frame in the object's."""
    return (
        rotation[0, 0] * x + rotation[1, 0] * y + rotation[2, 0] * z,
        rotation[0, 1] * x + rotation[1, 1] * y + rotation[2, 1] * z,
        rotation[0, 2] * x + rotation[1, 2] * y + rotation[2, 2] * z,
    )


@compiled
def _box(x, y, z, a, b, c):
    qx, qy, qz = abs(x) - a, abs(y) - b, abs(z) - c
    sx, sy, sz = 1.0 if x >= 0 else -1.0, 1.0 if y >= 0 else -1.0, 1.0 if z >= 0 else -1.0
    if qx <= 0 and qy <= 0 and qz <= 0:
        if qx >= qy and qx >= qz:
            return qx, sx, 0.0, 0.0
        if qy >= qz:
            return qy, 0.0, sy, 0.0
        return qz, 0.0, 0.0, sz
    ox, oy, oz = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
    d = np.sqrt(ox * ox + oy * oy + oz * oz)
    return d, sx * ox / d, sy * oy / d, sz * oz / d


@compiled
def _rectangle(x, z, a, c):
    qx, qz = abs(x) - a, abs(z) - c
    sx, sz = 1.0 if x >= 0 else -1.0, 1.0 if z >= 0 else -1.0
    if qx <= 0 and qz <= 0:
        return (qx, sx, 0.0) if qx >= qz else (qz, 0.0, sz)
    ox, oz = max(qx, 0.0), max(qz, 0.0)
    d = np.sqrt(ox * ox + oz * oz)
    return d, sx * ox / d, sz * oz / d


@compiled
def _cone(rho, z, bottom, top, half):
    """In the half plane of radius `rho` and height `z`: the nearest of the slope and the two caps."""
    slope_x, slope_z = top - bottom, 2.0 * half
    length = np.sqrt(slope_x * slope_x + slope_z * slope_z)
    nx, nz = slope_z / length, -slope_x / length  # outward normal of the slope
    side = (rho - bottom) * nx + (z + half) * nz
    over, under = z - half, -z - half
    if side <= 0 and over <= 0 and under <= 0:
        if side >= over and side >= under:
            return side, nx, nz
        return (over, 0.0, 1.0) if over >= under else (under, 0.0, -1.0)
    along = ((rho - bottom) * slope_x + (z + half) * slope_z) / (length * length)
    along = min(max(along, 0.0), 1.0)
    x, zz = rho - (bottom + along * slope_x), z - (-half + along * slope_z)
    best, gx, gz = np.sqrt(x * x + zz * zz), x, zz
    for radius, height in ((bottom, -half), (top, half)):
        x, zz = max(rho - radius, 0.0), z - height
        d = np.sqrt(x * x + zz * zz)
        if d < best:
            best, gx, gz = d, x, zz
    if best < _TINY:
        return 0.0, nx, nz
    return best, gx / best, gz / best
