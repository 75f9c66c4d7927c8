"""Smooth random fields: the deformation, texture and unevenness of the simulated volumes.

Only exactly rounded arithmetic (+ - * / sqrt) acts on whole arrays here, and no FFT or BLAS, so that a seed
gives the same bytes on every machine.
"""

import numpy as np
from scipy import ndimage

from nucseg.volume import Shape, Triple

TILE = 80


def noise_tile(rng: np.random.Generator, sigma: Triple) -> np.ndarray:
    """Periodic smooth noise of mean 0 and standard deviation 1, float32, `TILE` voxels along each axis.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the noise.
    sigma : Triple
        Correlation length (standard deviation of the Gaussian filter), voxels, ZYX.
    """
    tile = rng.standard_normal((TILE, TILE, TILE), dtype=np.float32)
    for axis, s in enumerate(sigma):
        # A wider kernel than this would see the tile's own period.
        tile = ndimage.gaussian_filter1d(tile, min(s, TILE / 5), axis=axis, mode="wrap", truncate=2.5)
    tile -= np.float32(tile.mean(dtype=np.float64))
    tile /= np.float32(tile.std(dtype=np.float64))
    return tile


def crop_tile(rng: np.random.Generator, tile: np.ndarray, shape: Shape) -> np.ndarray:
    """A block of `shape` from a random place of `tile`, repeated where the block is larger; may be a view."""
    index = []
    for n, size in zip(shape, tile.shape, strict=True):
        offset = int(rng.integers(max(size - n, 0) + 1))
        index.append(slice(offset, offset + n) if n <= size else np.arange(n) % size)
    for axis, part in enumerate(index):
        before = (slice(None),) * axis
        tile = tile[(*before, part)]
    return tile


def stretch(coarse: np.ndarray, shape: Shape) -> np.ndarray:
    """Linear interpolation of a coarse field to `shape`, first and last sample on the first and last voxel."""
    field = np.asarray(coarse, np.float32)
    for axis, n in enumerate(shape):
        m = field.shape[axis]
        position = np.arange(n) * ((m - 1) / max(n - 1, 1))
        low = np.minimum(position.astype(np.intp), max(m - 2, 0))
        weight = (position - low).astype(np.float32)
        weight = weight.reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, m - 1)
        field = field.take(low, axis) * (1 - weight) + field.take(high, axis) * weight
    return field


def smooth_field(rng: np.random.Generator, shape: Shape, scale: Triple) -> np.ndarray:
    """Smooth noise of `shape`, float32, about mean 0 and standard deviation 1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the noise.
    shape : Shape
        Shape of the field, ZYX.
    scale : Triple
        Size of its features, voxels, ZYX.
    """
    nodes = [max(3, int(2 * n / s) + 2) for n, s in zip(shape, scale, strict=True)]
    nodes = [min(m, max(n, 3)) for m, n in zip(nodes, shape, strict=True)]
    coarse = ndimage.gaussian_filter(rng.standard_normal(nodes, dtype=np.float32), 1.0, mode="reflect", truncate=2.5)
    # The filter above leaves white noise with this standard deviation: (1 / (2 sqrt(pi)))^(3/2).
    return stretch(coarse / np.float32(0.15), shape)
