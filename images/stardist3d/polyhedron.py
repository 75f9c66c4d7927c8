"""Single polyhedra and spheres in scalar code, compiled by numba: triangles, volumes, boxes.

A polyhedron is a distance along each ray; `vertices` are the rays' ends at distance 1, `faces` the
triangles between them, `determinants` those of each triangle's three rays. Triples are ZYX, lengths in voxels.
"""

import math

import numpy as np

from nucseg.compiled import compiled

UNSTRETCHED = np.ones(3)


@compiled
def offset_table(inverse, half):  # type: ignore[no-untyped-def]
    """Triangle (int16) and coefficients (float32, 3) of every offset in [-half, half].

    `inverse` (n_faces, 3, 3) maps an offset to its coefficients in each triangle.
    """
    size = 2 * half + 1
    n = size[0] * size[1] * size[2]
    face = np.empty(n, np.int16)
    coefficients = np.empty((n, 3), np.float32)
    guess = 0
    k = 0
    for z in range(-half[0], half[0] + 1):
        for y in range(-half[1], half[1] + 1):
            for x in range(-half[2], half[2] + 1):
                guess = triangle(inverse, float(z), float(y), float(x), guess)
                face[k] = guess
                m = inverse[guess]
                for c in range(3):
                    coefficients[k, c] = m[c, 0] * z + m[c, 1] * y + m[c, 2] * x
                k += 1
    return face, coefficients


@compiled
def triangle(inverse, z, y, x, guess):  # type: ignore[no-untyped-def]
    """The triangle whose cone holds the direction; `guess` is tried first."""
    best, best_value = guess, -np.inf
    for k in range(-1, len(inverse)):
        f = guess if k < 0 else k
        m = inverse[f]
        a = m[0, 0] * z + m[0, 1] * y + m[0, 2] * x
        b = m[1, 0] * z + m[1, 1] * y + m[1, 2] * x
        c = m[2, 0] * z + m[2, 1] * y + m[2, 2] * x
        least = min(a, b, c)
        if least >= 0:
            return f
        if least > best_value:
            best, best_value = f, least
    return best


@compiled
def star_volume(dist, faces, determinants):  # type: ignore[no-untyped-def]
    """Sum of the tetrahedra between the centre and each triangle."""
    volume = 0.0
    for f in range(len(faces)):
        volume += determinants[f] * dist[faces[f, 0]] * dist[faces[f, 1]] * dist[faces[f, 2]]
    return volume / 6


@compiled
def inner_radius(dist, vertices, faces, stretch):  # type: ignore[no-untyped-def]
    """Distance from the centre to the nearest triangle's plane, after stretching; can be negative."""
    least = np.inf
    for f in range(len(faces)):
        ia, ib, ic = faces[f, 0], faces[f, 1], faces[f, 2]
        az, ay, ax, pz, py, px, qz, qy, qx = edges(dist, vertices, ia, ib, ic, stretch)
        nz, ny, nx = px * qy - py * qx, pz * qx - px * qz, py * qz - pz * qy
        length = math.sqrt(nz * nz + ny * ny + nx * nx) + 1e-10
        least = min(least, (az * nz + ay * ny + ax * nx) / length)
    return least


@compiled
def edges(dist, vertices, ia, ib, ic, stretch):  # type: ignore[no-untyped-def]
    """First corner of a triangle, and the edges from it to the others."""
    az = dist[ia] * vertices[ia, 0] * stretch[0]
    ay = dist[ia] * vertices[ia, 1] * stretch[1]
    ax = dist[ia] * vertices[ia, 2] * stretch[2]
    pz = dist[ib] * vertices[ib, 0] * stretch[0] - az
    py = dist[ib] * vertices[ib, 1] * stretch[1] - ay
    px = dist[ib] * vertices[ib, 2] * stretch[2] - ax
    qz = dist[ic] * vertices[ic, 0] * stretch[0] - az
    qy = dist[ic] * vertices[ic, 1] * stretch[1] - ay
    qx = dist[ic] * vertices[ic, 2] * stretch[2] - ax
    return az, ay, ax, pz, py, px, qz, qy, qx


@compiled
def common_sphere(r1, r2, offset, anisotropy):  # type: ignore[no-untyped-def]
    """Upstream's volume of the intersection of two stretched spheres.

    Where one holds the other, upstream forgets to undo the stretching; so does this.
    """
    d = 0.0
    for axis in range(3):
        d += (anisotropy[axis] * offset[axis]) ** 2
    d = math.sqrt(d)
    small, large = min(r1, r2), max(r1, r2)
    if d > r1 + r2:
        return 0.0
    if large >= d + small - 1e-10:
        return math.pi * 4 / 3 * small**3
    t = (r1 + r2 - d) / 2 / d
    h1, h2 = (r2 - r1 + d) * t, (r1 - r2 + d) * t
    volume = math.pi / 3 * (h1 * h1 * (3 * r1 - h1) + h2 * h2 * (3 * r2 - h2))
    return volume / (anisotropy[0] * anisotropy[1] * anisotropy[2])


@compiled
def invert(dist, result):  # type: ignore[no-untyped-def]
    """Write 1 / dist, and return the largest."""
    largest = 0.0
    for k in range(len(dist)):
        result[k] = 1 / dist[k]
        largest = max(largest, result[k])
    return largest


@compiled
def touch(a, b):  # type: ignore[no-untyped-def]
    """Whether two boxes have a volume in common, as upstream counts it."""
    return min(a[1], b[1]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[2], b[2]) and min(a[5], b[5]) > max(a[4], b[4])
