"""Refining an object's pose in a frame: Gauss-Newton on signed distances of points and of the outline, compiled.

Four kinds of residual, each over its standard deviation [m]: a measured point's distance from the surface (Tukey's kernel,
its width annealed); the outline's: how far the ray of a pixel that shows the object passes by it, and how deep the ray of
one that shows what is behind goes through it; how deep a corner is under the table; a prior on the pose.
Legend: the pose is rotation R (3, 3) and position t (3,) of the object in the base frame; an increment (6,) is a translation and a
rotation vector in the object's own frame: q = Rᵀ(p - t), dq = -v - w x q.
"""

import numpy as np

from ocrrl.perception.tracking.fitting.compiled import compiled
from ocrrl.perception.tracking.fitting.pixels import BACKGROUND, OBJECT, UNKNOWN
from ocrrl.perception.tracking.fitting.signed_distance import nearest_on_ray, signed_distance, turn_back

DEPTH_NOISE = 0.0037  # [m] at 0.7 m, growing with depth squared
NOISE_AREA = 78.0  # [pixels] that share their depth noise
OUTLINE_NOISE = 0.0012  # [m]: a pixel at 0.75 m
OUTLINE_BAND = 0.012  # [m] of the outline in which pixels pull at it
SETTLED = 0.004  # [m] by which a ray is on its right side: it will not pull before the next look
OUTLINE_SHARE = 0.5  # of independent pixels among those of an outline
TABLE_NOISE = 0.001  # [m]
CONTACT_BAND = 0.006  # [m] above the table, in which a corner of an object that nothing holds is drawn to it
WIDE, NARROW = 0.030, 0.007  # [m], widths of the kernel


@compiled
def refine(rows, solid, corners, radius, rotation, position, camera, rays, depth, code, step, widths, prior, rests):
    """Pose (R, t) after one iteration a kernel width [m] in `widths`, and the information matrix (6, 6) of the last.

    `rows` and `solid` are the object's primitives, `corners` (C, 3) its lowest points, `radius` [m] encloses it;
    `camera`, `rays`, `depth`, `code`, `step` are a window's pixels; `prior` (6,) are the standard deviations [m, rad] of
    the given pose along and about the object's axes: a tiny one holds that freedom fast; `rests`: nothing holds the object.
    """
    rot, pos = rotation.copy(), position.copy()
    information, gradient = np.zeros((6, 6)), np.zeros(6)
    jacobian = np.empty(6)
    near = np.empty(len(depth), np.int64)
    where = np.empty(len(depth))
    count = 0
    share = min(1.0, step * step / NOISE_AREA)
    outline_weight = OUTLINE_SHARE * min(1.0, step * step / 4.0)
    for iteration in range(len(widths)):
        width = widths[iteration]
        gradient[:] = 0.0
        information[:] = 0.0
        origin = rot.T @ (camera - pos)
        ox, oy, oz = origin[0], origin[1], origin[2]
        band = max(OUTLINE_BAND, 0.6 * width)
        if iteration % 3 == 0:
            count = _near_outline(solid, radius, origin, rot, rays, code, band, near, where)
        for k in range(count):
            i = near[k]
            dx, dy, dz = turn_back(rot, rays[i, 0], rays[i, 1], rays[i, 2])
            distance, t = nearest_on_ray(solid, ox, oy, oz, dx, dy, dz, where[k] - 0.01, where[k] + 0.01)
            where[k] = t
            z = depth[i]
            if z > 0.0 and z < t - 0.03:
                continue
            behind = z > t + 0.02
            if code[i] == OBJECT and not behind:
                if distance <= 0.0 or distance > band:
                    continue
            elif code[i] == BACKGROUND or behind:
                if distance >= 0.0 or distance < -band:
                    continue
            else:
                continue
            qx, qy, qz = ox + t * dx, oy + t * dy, oz + t * dz
            _, nx, ny, nz = signed_distance(solid, qx, qy, qz)
            noise = OUTLINE_NOISE * t / 0.75
            weight = outline_weight * (1.0 - (distance / band) ** 2) ** 2 / (noise * noise)
            _add(information, gradient, jacobian, qx, qy, qz, nx, ny, nz, -1.0, distance, weight)
        for i in range(len(depth)):
            z = depth[i]
            if z <= 0.0 or (code[i] != OBJECT and code[i] != UNKNOWN):
                continue
            dx, dy, dz = turn_back(rot, rays[i, 0], rays[i, 1], rays[i, 2])
            qx, qy, qz = ox + z * dx, oy + z * dy, oz + z * dz
            if qx * qx + qy * qy + qz * qz > (radius + width) ** 2:
                continue
            distance, nx, ny, nz = signed_distance(rows, qx, qy, qz)
            if abs(distance) >= width:
                continue
            noise = DEPTH_NOISE * (z / 0.7) ** 2 * abs(nx * dx + ny * dy + nz * dz) + 0.0007
            weight = share * (1.0 - (distance / width) ** 2) ** 2 / (noise * noise)
            if code[i] == UNKNOWN:
                weight *= 0.2
            _add(information, gradient, jacobian, qx, qy, qz, nx, ny, nz, -1.0, distance, weight)
        for c in range(len(corners)):
            x, y, z = corners[c, 0], corners[c, 1], corners[c, 2]
            height = rot[2, 0] * x + rot[2, 1] * y + rot[2, 2] * z + pos[2]
            if height < 0.0 or (rests and height < CONTACT_BAND):
                weight = 1.0 / (TABLE_NOISE * TABLE_NOISE)
                if height >= 0.0:
                    weight *= 0.25 * (1.0 - (height / CONTACT_BAND) ** 2) ** 2
                _add(information, gradient, jacobian, x, y, z, rot[2, 0], rot[2, 1], rot[2, 2], 1.0, height, weight)
        moved = rot.T @ (pos - position)
        turned = 0.5 * _vee(rotation.T @ rot)
        for k in range(3):
            for freedom, off in ((k, moved[k]), (k + 3, turned[k])):
                information[freedom, freedom] += 1.0 / prior[freedom] ** 2
                gradient[freedom] += off / prior[freedom] ** 2
        increment = -_solve(information, gradient)
        pos = pos + rot @ increment[:3]
        rot = rot @ _exponential(increment[3:])
    for a in range(6):
        for b in range(a):
            information[b, a] = information[a, b]
    return rot, pos, information


@compiled
def _near_outline(solid, radius, origin, rot, rays, code, band, near, where):
    """How many rays pass the object's surface within `band` [m]; `near` and `where` get their rows and depths."""
    count = 0
    ox, oy, oz = origin[0], origin[1], origin[2]
    for i in range(len(code)):
        if code[i] > OBJECT:
            continue
        dx, dy, dz = turn_back(rot, rays[i, 0], rays[i, 1], rays[i, 2])
        squared = dx * dx + dy * dy + dz * dz
        along = -(ox * dx + oy * dy + oz * dz) / squared
        px, py, pz = ox + along * dx, oy + along * dy, oz + along * dz
        if px * px + py * py + pz * pz < (radius + band) ** 2:
            if code[i] == OBJECT and signed_distance(solid, px, py, pz)[0] < -SETTLED:
                continue
            reach = radius / np.sqrt(squared)
            distance, t = nearest_on_ray(solid, ox, oy, oz, dx, dy, dz, along - reach, along + reach)
            pulls = distance > -SETTLED if code[i] == OBJECT else distance < SETTLED
            if pulls and abs(distance) < 1.5 * band:
                near[count], where[count] = i, t
                count += 1
    return count


@compiled
def _add(information, gradient, jacobian, qx, qy, qz, nx, ny, nz, sign, residual, weight):
    """Add weight JᵀJ and weight Jᵀr of a residual along the normal n at q: J = sign (n, q x n)."""
    jacobian[0], jacobian[1], jacobian[2] = sign * nx, sign * ny, sign * nz
    jacobian[3] = sign * (qy * nz - qz * ny)
    jacobian[4] = sign * (qz * nx - qx * nz)
    jacobian[5] = sign * (qx * ny - qy * nx)
    for a in range(6):
        scaled = weight * jacobian[a]
        gradient[a] += scaled * residual
        for b in range(a + 1):
            information[a, b] += scaled * jacobian[b]


@compiled
def _vee(m):
    return np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])


@compiled
def _exponential(w):
    angle = np.sqrt(w @ w)
    k = np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
    if angle < 1e-9:
        return np.eye(3) + k
    return np.eye(3) + np.sin(angle) / angle * k + (1.0 - np.cos(angle)) / (angle * angle) * (k @ k)


@compiled
def _solve(matrix, vector):
    """Solution (6,) of a positive definite system, by Cholesky's factors."""
    n = len(vector)
    lower, x = np.zeros((n, n)), vector.copy()
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / lower[j, j]
    for i in range(n):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= lower[k, i] * x[k]
        x[i] /= lower[i, i]
    return x
