"""Surface areas of digital objects."""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np

from nucseg.machine import usable_cores
from nucseg.volume import Triple

# In diagonals of a voxel. Less leaves the steps of the mask in the normals, more bends them where the surface does.
_SMOOTHING = 0.7
_TRUNCATE = 2.0
_BLOCK_VOXELS = 1 << 22

Number = TypeVar("Number", float, np.ndarray)


def surface_area(mask: np.ndarray, voxel_size: Triple) -> float:
    """Area of the surface of one object, closed where the mask ends.

    Every face between a voxel inside and one outside counts with its area times the cosine between
    its own normal and the surface's, which is the gradient of the mask after a Gaussian of 0.7 voxel
    diagonals. Such an integral of normals over the digital surface converges to the true area as voxels get
    smaller (Coeurjolly et al. 2003; Lachaud & Thibert 2016); NucleusJ 2 corrects its surface in the same way, with
    normals from the image (Dubos et al. 2020). Marching cubes through a binary mask keeps its steps, at any
    resolution: on ellipsoids it is 8% too large with cubic voxels and 20% with a voxel size of 5:1:1. Here, from
    1,000 voxels on, the mean error is below 0.6% and the largest of 540 ellipsoids 1.6% up to 3:1:1. At 5:1:1 it is
    1.3% and 4.8% at 1,000 voxels, where the volume is off as much for a few planes hold the whole nucleus, and 0.5% and
    1.5% at 4,000.

    Parameters
    ----------
    mask : numpy.ndarray
        ZYX, bool. Objects of a few voxels have no normals to speak of: one voxel has the area of its faces.
    voxel_size : tuple of float
        ZYX, in the unit whose square the area gets.

    Examples
    --------
    >>> z, y, x = np.ogrid[-12:13, -12:13, -12:13]
    >>> area = surface_area(z**2 + y**2 + x**2 <= 100, (0.5, 0.5, 0.5))
    >>> round(area / (4 * np.pi * 5**2), 2)
    1.0
    """
    kernels = _kernels(voxel_size)
    # Rows and planes lie one after the other in memory; as much background as a kernel reaches keeps them apart.
    margins = [max(len(kernel), 3) - 1 for kernel in kernels]
    inside = np.zeros([n + 2 * margin for n, margin in zip(mask.shape, margins, strict=True)], np.float32)
    inside[tuple(slice(margin, -margin) for margin in margins)] = mask
    planes = max(1, _BLOCK_VOXELS // inside[0].size)
    area = 0.0
    for first in range(0, len(inside), planes):
        begin = max(0, first - 2 * margins[0])
        block = inside[begin : first + planes + 2 * margins[0]]
        area += _area(block, slice(first - begin, first - begin + planes), kernels, voxel_size)
    return area


@lru_cache
def _kernels(voxel_size: Triple) -> list[np.ndarray]:
    """One half of a Gaussian along each axis, from its centre on."""
    kernels = []
    for sigma in _SMOOTHING * np.linalg.norm(voxel_size) / np.asarray(voxel_size):
        weights = np.exp(-0.5 * (np.arange(int(_TRUNCATE * sigma + 0.5) + 1) / sigma) ** 2)
        kernels.append((weights / (2 * weights.sum() - 1)).astype(np.float32))
    return kernels


def _area(inside: np.ndarray, counted: slice, kernels: list[np.ndarray], voxel_size: Triple) -> float:
    """Area of the faces of those planes of a block that count; the others are what their normals need."""
    flat = inside.ravel()
    steps = (inside.shape[1] * inside.shape[2], inside.shape[2], 1)
    smooth = flat
    for step, kernel in zip(steps, kernels, strict=True):
        smooth = _smoothed(smooth, step, kernel)
    differences = []
    for step in steps:
        along = np.zeros_like(smooth)
        np.subtract(smooth[2 * step :], smooth[: -2 * step], out=along[step:-step])
        differences.append(along)
    area = 0.0
    for axis, step in enumerate(steps):
        start, stop = counted.start * steps[0], min(counted.stop * steps[0], len(flat) - step)
        here = start + np.flatnonzero(flat[start:stop] != flat[start + step : stop + step])
        gradient = [
            (along.take(here) + along.take(here + step)) / edge
            for along, edge in zip(differences, voxel_size, strict=True)
        ]
        outwards = np.where(flat.take(here), -gradient[axis], gradient[axis])
        length = np.sqrt(gradient[0] ** 2 + gradient[1] ** 2 + gradient[2] ** 2)
        cosines = np.divide(outwards, length, out=np.zeros_like(outwards), where=length > 0)
        area += float(cosines.sum(dtype=np.float64)) * math.prod(voxel_size) / voxel_size[axis]
    return area


def _smoothed(flat: np.ndarray, step: int, kernel: np.ndarray) -> np.ndarray:
    """Convolve along one axis, whose neighbours are `step` apart; scipy takes twice as long for arrays so small."""
    smooth = kernel[0] * flat
    for distance, weight in enumerate(kernel[1:], 1):
        part, shift = weight * flat, distance * step
        smooth[shift:] += part[:-shift]
        smooth[:-shift] += part[shift:]
    return smooth


def surface_areas(
    labels: np.ndarray, numbers: np.ndarray, first: np.ndarray, last: np.ndarray, voxel_size: Triple
) -> np.ndarray:
    """Areas of objects of a label image, each alone: where two touch, both have the surface between them.

    Parameters
    ----------
    labels : numpy.ndarray
        ZYX, or a memory map.
    numbers : numpy.ndarray
        The objects' labels.
    first, last : numpy.ndarray
        (objects, 3), inclusive corners of their boxes.
    voxel_size : tuple of float
        ZYX.
    """

    def one(k: int) -> float:
        box = tuple(slice(a, b + 1) for a, b in zip(first[k], last[k], strict=True))
        return surface_area(labels[box] == numbers[k], voxel_size)

    with ThreadPoolExecutor(usable_cores()) as pool:
        return np.fromiter(pool.map(one, range(len(numbers))), float, len(numbers))


def sphericity(volume: Number, area: Number) -> Number:
    """Area of the sphere of the same volume over the area, 1 for a sphere (Wadell 1935)."""
    return np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area
