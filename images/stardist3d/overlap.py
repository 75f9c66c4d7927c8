"""Fast certain answers to "does polyhedron i suppress polyhedron j?", compiled by numba.

Upstream answers by four tests in turn (spheres and boxes, volume of the common kernel, volume of the
common convex hull, number of common voxels), of which the last three take 0.3 to 4 ms each. Here
the answer is found from bounds that hold whatever those tests would give in detail, in a few
microseconds; where the bounds leave it open, the pair is deferred to upstream's own code.

Source of the tests: stardist 0.9, ``stardist/lib/stardist3d_impl.cpp``. All lengths are in voxels,
all triples ZYX.

A point at offset d from a centre lies in the cone of one triangle of rays (A, B, C), where
d = a*vA + b*vB + c*vC with a, b, c >= 0. It is inside of the polyhedron if
a/distA + b/distB + c/distC <= 1: the *gauge*. Centres and voxels are integers, so the triangle
and (a, b, c) are looked up in a table over all offsets.
"""

import math

import numpy as np

from images.stardist3d.polyhedron import (
    UNSTRETCHED,
    common_sphere,
    edges,
    inner_radius,
    invert,
    star_volume,
    touch,
    triangle,
)
from nucseg.compiled import compiled

KEEPS, SUPPRESSES, OPEN = 0, 1, 2

SLACK = 1e-3
"""Relative margin of volumes, far above the rounding of float32."""

FRACTIONS = 12
"""Places tried along a ray."""


@compiled
def inside_voxels(inverse_dist, margin, box, point, faces, table, found):  # type: ignore[no-untyped-def]
    """Offsets of the voxels in a polyhedron, with 1 (surely) or 0 (on the border, by rounding either way).

    Writes (n, 4) int16 into `found`; returns n, or -1 when the table is too small.
    """
    face, coefficients, half = table
    for axis in range(3):
        if point[axis] - box[2 * axis] > half[axis] or box[2 * axis + 1] - point[axis] > half[axis]:
            return -1
    n = 0
    for z in range(box[0] - point[0], box[1] - point[0] + 1):
        for y in range(box[2] - point[1], box[3] - point[1] + 1):
            k = ((z + half[0]) * (2 * half[1] + 1) + y + half[1]) * (2 * half[2] + 1) + half[2]
            for x in range(box[4] - point[2], box[5] - point[2] + 1):
                gauge, border = _gauge(face[k + x], coefficients[k + x], inverse_dist, faces, margin)
                if gauge <= 1 + border:
                    found[n, 0], found[n, 1], found[n, 2] = z, y, x
                    found[n, 3] = gauge <= 1 - border
                    n += 1
    return n


@compiled
def _gauge(f, c, inverse_dist, faces, margin):  # type: ignore[no-untyped-def]
    """Gauge of an offset with coefficients c in triangle f, and how much it may be off."""
    a, b, d = inverse_dist[faces[f, 0]], inverse_dist[faces[f, 1]], inverse_dist[faces[f, 2]]
    return c[0] * a + c[1] * b + c[2] * d, 2 * margin * max(a, b, d)


@compiled
def _count_common(voxels, n, offset, box, point, inverse_dist, margin, faces, table, enough):  # type: ignore[no-untyped-def]
    """Least and largest number of common voxels; stops when the least exceeds `enough`."""
    face, coefficients, half = table
    z1, z2 = box[0] - point[0], box[1] - point[0]
    y1, y2 = box[2] - point[1], box[3] - point[1]
    x1, x2 = box[4] - point[2], box[5] - point[2]
    least, most = 0, 0
    for v in range(n):
        z, y, x = voxels[v, 0] - offset[0], voxels[v, 1] - offset[1], voxels[v, 2] - offset[2]
        if z < z1 or z > z2 or y < y1 or y > y2 or x < x1 or x > x2:
            continue
        k = ((z + half[0]) * (2 * half[1] + 1) + y + half[1]) * (2 * half[2] + 1) + x + half[2]
        gauge, border = _gauge(face[k], coefficients[k], inverse_dist, faces, margin)
        if gauge <= 1 + border:
            most += 1
            if gauge <= 1 - border:
                least += voxels[v, 3]
                if least > enough:
                    break
    return least, most


@compiled
def _inside(z, y, x, inverse, inverse_dist, faces, table, margin):  # type: ignore[no-untyped-def]
    """Whether an offset, which need not be a whole number of voxels, is surely in a polyhedron."""
    face, _, half = table
    if abs(z) > half[0] or abs(y) > half[1] or abs(x) > half[2]:
        return False
    k = ((round(z) + half[0]) * (2 * half[1] + 1) + round(y) + half[1]) * (2 * half[2] + 1) + round(x) + half[2]
    f = triangle(inverse, z, y, x, face[k])
    gauge = 0.0
    for c in range(3):
        m = inverse[f, c]
        gauge += (m[0] * z + m[1] * y + m[2] * x) * inverse_dist[faces[f, c]]
    return gauge <= 1 - margin


@compiled
def _hull_overlap(share, i, j, offset, dist, rays, table, room, margin):  # type: ignore[no-untyped-def]
    """Least volume of what the convex hulls of i and j have in common.

    From a base point, `share` of the way from i to j, it goes out along each ray as far as the point
    is in both polyhedra: the hull of such points is in both hulls.
    """
    vertices, faces, determinants, inverse = rays
    inverse_i, inverse_j, reach = room[0][0], room[0][1], room[0][2]
    z0, y0, x0 = share * offset[0], share * offset[1], share * offset[2]
    for k in range(-1, len(reach)):
        found = -1.0
        length = dist[i if share == 0 else j, max(k, 0)] if k >= 0 else 0.0
        for t in range(FRACTIONS):
            step = 0.99 * (1 - t / FRACTIONS) * length  # the end of a ray is on the border
            z, y, x = z0, y0, x0
            if k >= 0:
                z += step * vertices[k, 0]
                y += step * vertices[k, 1]
                x += step * vertices[k, 2]
            if _inside(z, y, x, inverse, inverse_i, faces, table, margin) and _inside(
                z - offset[0], y - offset[1], x - offset[2], inverse, inverse_j, faces, table, margin
            ):
                found = step
                break
        if k >= 0:
            reach[k] = max(0.0, found)
        elif found < 0:
            return 0.0
    return star_volume(reach, faces, determinants)


@compiled
def _kernel_overlap(i, j, offset, dist, rays, room, margin):  # type: ignore[no-untyped-def]
    """Least and largest volume that upstream finds for what the kernels of i and j have in common.

    The kernel is where all planes of a polyhedron's triangles are in front. Upstream looks for the
    common kernel from the middle between the centres, and finds none where that is outside. From
    there, the nearest plane along each ray gives a polyhedron inside of the kernel, and any one
    plane a bound of what is in a triangle's cone.
    """
    vertices, faces, determinants = rays[0], rays[1], rays[2]
    reach, planes, nearest = room[0][2], room[1], room[2]
    n_faces = len(faces)
    sure = True
    for p in range(2 * n_faces):
        f = p % n_faces
        sign = -0.5 if p < n_faces else 0.5
        az, ay, ax, pz, py, px, qz, qy, qx = edges(
            dist[i if p < n_faces else j], vertices, faces[f, 0], faces[f, 1], faces[f, 2], UNSTRETCHED
        )
        nz, ny, nx = px * qy - py * qx, pz * qx - px * qz, py * qz - pz * qy
        length = math.sqrt(nz * nz + ny * ny + nx * nx) + 1e-30
        height = nz * (az + sign * offset[0]) + ny * (ay + sign * offset[1]) + nx * (ax + sign * offset[2])
        if height < -margin * length:
            return 0.0, 0.0
        sure = sure and height > margin * length
        planes[p, 0], planes[p, 1], planes[p, 2] = nz / height, ny / height, nx / height
    if not sure:
        return 0.0, np.inf
    for k in range(len(reach)):
        steepest = 0.0
        nearest[k] = 0
        for p in range(2 * n_faces):
            slope = planes[p, 0] * vertices[k, 0] + planes[p, 1] * vertices[k, 1] + planes[p, 2] * vertices[k, 2]
            if slope > steepest:
                steepest = slope
                nearest[k] = p
        reach[k] = 1 / steepest
    most = 0.0
    for f in range(n_faces):
        least = np.inf
        for c in range(3):
            p = nearest[faces[f, c]]
            product = 1.0
            for e in range(3):
                k = faces[f, e]
                slope = planes[p, 0] * vertices[k, 0] + planes[p, 1] * vertices[k, 1] + planes[p, 2] * vertices[k, 2]
                product *= 1 / slope if slope > 0 else np.inf
            least = min(least, product)
        most += least * determinants[f]
    return star_volume(reach, faces, determinants), most / 6


@compiled
def decide(i, j, threshold, shapes, rays, stretch, table, n_voxels, margin, room):  # type: ignore[no-untyped-def]
    """Whether survivor i suppresses candidate j: `KEEPS`, `SUPPRESSES`, or `OPEN`.

    `room[3]` and `n_voxels` are what `inside_voxels` gives for i, with n_voxels -1 for unknown.
    """
    dist, points, volumes, boxes, radii = shapes
    vertices, faces = rays[0], rays[1]
    half = table[2]
    offset = (points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2])
    smaller = min(volumes[i], volumes[j]) + 1e-10
    needed = threshold * smaller
    z = float(min(boxes[i, 1], boxes[j, 1]) - max(boxes[i, 0], boxes[j, 0]))
    y = float(min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 2], boxes[j, 2]))
    x = float(min(boxes[i, 5], boxes[j, 5]) - max(boxes[i, 4], boxes[j, 4]))
    if z <= 0 or y <= 0 or x <= 0:
        return KEEPS
    most = min(common_sphere(radii[i], radii[j], offset, stretch), z * y * x)
    if most < 1e-10 or most <= needed * (1 - SLACK):
        return KEEPS
    if n_voxels < 0 or most < needed * (1 + SLACK):
        return OPEN
    for axis in range(3):
        if max(points[j, axis] - boxes[j, 2 * axis], boxes[j, 2 * axis + 1] - points[j, axis]) > half[axis]:
            return OPEN
    largest = max(invert(dist[j], room[0][1]), invert(dist[i], room[0][0]))
    least, most_voxels = _count_common(
        room[3], n_voxels, offset, boxes[j], points[j], room[0][1], margin, faces, table, needed + 2
    )
    if least > needed + 2:
        # The voxel count will suppress j unless the common hull is too small to come to that test.
        for share in (1.0, 0.0, 0.5):
            volume = _hull_overlap(share, i, j, offset, dist, rays, table, room, 2 * margin * largest)
            if volume > needed * (1 + SLACK):
                return SUPPRESSES
        kernel, _ = _kernel_overlap(i, j, offset, dist, rays, room, margin)
        return SUPPRESSES if kernel > needed * (1 + SLACK) else OPEN
    if most_voxels >= needed - 2:
        return OPEN
    # The voxel count will keep j unless the common kernel, or the spheres in it, suppress it before.
    # A convex body has at least V - (areas and edges of its box) - 1 voxels (Davenport 1951).
    z, y, x = z + 1, y + 1, x + 1
    body = min(z * y * x, most_voxels + z * y + y * x + z * x + z + y + x + 1)
    if body > needed * (1 - SLACK):
        kernel, most = _kernel_overlap(i, j, offset, dist, rays, room, margin)
        if kernel > needed * (1 + SLACK):
            return SUPPRESSES
        if most > needed * (1 - SLACK):
            return OPEN
    inner = common_sphere(
        inner_radius(dist[i], vertices, faces, stretch),
        inner_radius(dist[j], vertices, faces, stretch),
        offset,
        stretch,
    )
    if inner > needed * (1 + SLACK):
        return SUPPRESSES
    return OPEN if inner > needed * (1 - SLACK) else KEEPS


@compiled
def advance(start, stop, alive, cells, open_pairs, threshold, shapes, rays, stretch, table, margin, room):  # type: ignore[no-untyped-def]
    """Let the survivors of [start, stop) suppress, in order, until one meets a pair that stays open.

    Parameters
    ----------
    alive : bool (n,)
        Is updated.
    cells : tuple
        (row_boxes, row_cells, cell_boxes, cell_ends, members), see `images.stardist3d.suppression`.
        Members that are done with are taken out.
    open_pairs : int64 (n,)
        Gets the second members of the open pairs.
    shapes : tuple
        (dist, points, volumes, boxes, radii) of the candidates.
    rays : tuple
        (vertices, faces, determinants of the faces, matrices from offsets to coefficients).
    stretch : float64 (3,)
        Upstream's anisotropy.
    table : tuple
        (face, coefficients, half), see `offset_table`.
    room : tuple
        Room to work: float64 (3, n_rays), float64 (2 * n_faces, 3), int64 (n_rays,), int16 (voxels of the table, 4).
    margin : float
        By how many voxels upstream's borders may be off for its rounding.

    Returns
    -------
    next : int
        Where to go on.
    n_open : int
        Number of open pairs, whose first member is next - 1.
    """
    row_boxes, row_cells, cell_boxes, cell_ends, members = cells
    dist, points, boxes, faces = shapes[0], shapes[1], shapes[3], rays[1]
    for i in range(start, stop):
        if not alive[i]:
            continue
        n_open = 0
        n_voxels = -2
        for row in range(len(row_boxes)):
            if not touch(boxes[i], row_boxes[row]):
                continue
            for cell in range(row_cells[row], row_cells[row + 1]):
                if not touch(boxes[i], cell_boxes[cell]):
                    continue
                k = cell_ends[cell, 0]
                while k < cell_ends[cell, 1]:
                    j = members[k]
                    if j <= i or not alive[j]:
                        cell_ends[cell, 1] -= 1
                        members[k] = members[cell_ends[cell, 1]]
                        continue
                    k += 1
                    if not touch(boxes[i], boxes[j]):
                        continue
                    if n_voxels == -2:
                        invert(dist[i], room[0][0])
                        n_voxels = inside_voxels(room[0][0], margin, boxes[i], points[i], faces, table, room[3])
                    answer = decide(i, j, threshold, shapes, rays, stretch, table, n_voxels, margin, room)
                    if answer == SUPPRESSES:
                        alive[j] = False
                    elif answer == OPEN:
                        open_pairs[n_open] = j
                        n_open += 1
        if n_open:
            return i + 1, n_open
    return stop, 0
