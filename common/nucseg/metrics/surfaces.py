"""Distances between the surfaces of objects that are near each other, compiled by numba: import this where needed."""

import math

import numpy as np

from nucseg.compiled import compiled


def nearest_rows(depth: int, height: int, size_z: float, size_y: float) -> tuple[np.ndarray, np.ndarray]:
    """Steps in Z and Y to all rows of a box, the nearest first, and the squares of their distances."""
    z, y = np.arange(1 - depth, depth)[:, None], np.arange(1 - height, height)
    squares = ((z * size_z) ** 2 + (y * size_y) ** 2).ravel()
    order = np.argsort(squares, kind="stable")
    steps = np.stack(np.unravel_index(order, (z.size, y.size)), axis=1) - (depth - 1, height - 1)
    return steps, squares[order]


@compiled
def cut(labels, numbers, first, shapes):  # type: ignore[no-untyped-def]
    """Cut boxes of these shapes out of a label image: whether voxels have a box's number, one box after the other.

    The numbers are of the image's type.
    """
    size = 0
    for box in range(len(shapes)):
        size += shapes[box, 0] * shapes[box, 1] * shapes[box, 2]
    masks = np.empty(size, np.bool_)
    found = 0
    for box in range(len(shapes)):
        number, width = numbers[box], shapes[box, 2]
        for z in range(first[box, 0], first[box, 0] + shapes[box, 0]):
            for y in range(first[box, 1], first[box, 1] + shapes[box, 1]):
                row, mask = labels[z, y, first[box, 2] : first[box, 2] + width], masks[found : found + width]
                for x in range(width):
                    mask[x] = row[x] == number
                found += width
    return masks


@compiled
def compare(true, pred, shapes, size_x, rows, tolerance):  # type: ignore[no-untyped-def]
    """Compare pairs of masks.

    Parameters
    ----------
    true, pred : numpy.ndarray
        Bool, one box of voxels ZYX after the other.
    shapes : numpy.ndarray
        (boxes, 3)
    size_x : float
        Size of a voxel.
    rows : tuple of numpy.ndarray
        From `nearest_rows`.
    tolerance : float

    Returns
    -------
    numpy.ndarray
        (boxes, 5): see `summary`.
    """
    results = np.empty((len(shapes), 5))
    begin = 0
    for box in range(len(shapes)):
        shape = shapes[box, 0], shapes[box, 1], shapes[box, 2]
        end = begin + shape[0] * shape[1] * shape[2]
        a, b = true[begin:end].reshape(shape), pred[begin:end].reshape(shape)
        a_surface, b_surface = _surface_of(a), _surface_of(b)
        there, missed = _directed(a, a_surface, b, _squares_in_rows(b_surface, size_x), rows)
        back, added = _directed(b, b_surface, a, _squares_in_rows(a_surface, size_x), rows)
        scores = summary(there, back, missed, added, tolerance)
        for column in range(5):
            results[box, column] = scores[column]
        begin = end
    return results


@compiled
def summary(there, back, missed, added, tolerance):  # type: ignore[no-untyped-def]
    """From the distances of both surfaces' voxels (which get reordered), and the mean ones of both masks' voxels.

    Returns
    -------
    tuple of float
        The attributes of `nucseg.metrics.boundary.SurfaceDistance`.
    """
    largest, total, near = 0.0, 0.0, 0
    for distances in (there, back):
        for k in range(len(distances)):
            largest = max(largest, distances[k])
            total += distances[k]
            near += distances[k] <= tolerance * (1 + 1e-6)
    number = len(there) + len(back)
    largest95 = max(_percentile(there, 0.95), _percentile(back, 0.95))
    return largest, largest95, (missed + added) / 2, total / number, near / number


@compiled
def _percentile(values, share):  # type: ignore[no-untyped-def]
    """What `numpy.percentile` says, in a tenth of its time for so few values; reorders them."""
    place = share * (len(values) - 1)
    low = int(place)
    below = _smallest(values, low)
    above = np.inf
    for k in range(low + 1, len(values)):
        above = min(above, values[k])
    return below + (place - low) * (above - below) if place > low else below


@compiled
def _smallest(values, rank):  # type: ignore[no-untyped-def]
    """The value of a rank from 0 on; smaller ones go before it, and larger ones behind (Hoare 1961)."""
    first, last = 0, len(values) - 1
    while first < last:
        pivot = values[(first + last) // 2]
        i, j = first, last
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if rank <= j:
            last = j
        elif rank >= i:
            first = i
        else:
            break
    return values[rank]


@compiled
def _directed(mask, surface, other, squares, rows):  # type: ignore[no-untyped-def]
    """Distances of a surface's voxels to the other one, and the mean of all the mask's voxels' distances.

    Rows are looked at from a voxel outwards until none can be nearer.
    """
    steps, gaps = rows
    depth, height, width = mask.shape
    distances = np.empty(mask.size)
    found, size, outside = 0, 0, 0.0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if not mask[z, y, x]:
                    continue
                size += 1
                if other[z, y, x] and not surface[z, y, x]:
                    continue
                best = squares[z, y, x]
                for k in range(1, len(gaps)):
                    if gaps[k] >= best:
                        break
                    there_z, there_y = z + steps[k, 0], y + steps[k, 1]
                    if 0 <= there_z < depth and 0 <= there_y < height:
                        best = min(best, squares[there_z, there_y, x] + gaps[k])
                distance = math.sqrt(best)
                if surface[z, y, x]:
                    distances[found] = distance
                    found += 1
                if not other[z, y, x]:
                    outside += distance
    return distances[:found], outside / size


@compiled
def _surface_of(mask):  # type: ignore[no-untyped-def]
    """Voxels with one of their six neighbours outside the mask, or beyond the box."""
    depth, height, width = mask.shape
    surface = mask.copy()
    for z in range(1, depth - 1):
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                inner = mask[z - 1, y, x] & mask[z + 1, y, x] & mask[z, y - 1, x] & mask[z, y + 1, x]
                surface[z, y, x] &= not (inner & mask[z, y, x - 1] & mask[z, y, x + 1])
    return surface


@compiled
def _squares_in_rows(surface, size_x):  # type: ignore[no-untyped-def]
    """Square of each voxel's distance to a surface in its row; inf without any."""
    depth, height, width = surface.shape
    squares = np.empty(surface.shape)
    for z in range(depth):
        for y in range(height):
            last = np.inf
            for x in range(width):
                last = 0.0 if surface[z, y, x] else last + size_x
                squares[z, y, x] = last
            for x in range(width - 1, -1, -1):
                last = min(squares[z, y, x], last + size_x)
                squares[z, y, x] = last * last
    return squares
