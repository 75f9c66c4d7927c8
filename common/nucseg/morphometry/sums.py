"""Sums over the voxels of every nucleus in one pass; everything but the surface follows from them."""

from dataclasses import dataclass, fields

import numpy as np

from nucseg.runs import Groups, Runs, find_runs, slabs_of_labels

AXES = (0, 1, 2, 0, 0, 1)
OTHERS = (0, 1, 2, 1, 2, 2)
"""Second moments are kept as zz, yy, xx, zy, zx, yx: products of `AXES` and `OTHERS`."""


@dataclass(frozen=True)
class Sums:
    """One row per nucleus, in ascending order of the labels.

    Attributes
    ----------
    labels : numpy.ndarray
        int64, without the background; gaps are allowed.
    voxels : numpy.ndarray
        Numbers of voxels, int64.
    first, last : numpy.ndarray
        (nuclei, 3), inclusive corners of the boxes, ZYX.
    position : numpy.ndarray
        (nuclei, 3), int64: sums of the coordinates.
    products : numpy.ndarray
        (nuclei, 6), int64: sums of products of two coordinates, zz, yy, xx, zy, zx, yx.
    intensity : numpy.ndarray
        Sums, float64.
    deviation : numpy.ndarray
        Sums of squared differences from the nucleus' mean intensity.
    darkest, brightest : numpy.ndarray
        Intensities.
    """

    labels: np.ndarray
    voxels: np.ndarray
    first: np.ndarray
    last: np.ndarray
    position: np.ndarray
    products: np.ndarray
    intensity: np.ndarray
    deviation: np.ndarray
    darkest: np.ndarray
    brightest: np.ndarray

    def centroids(self) -> np.ndarray:
        """(nuclei, 3), ZYX in voxels with voxel centres at integers."""
        return self.position / self.voxels[:, None]

    def covariances(self) -> np.ndarray:
        """(nuclei, 3, 3), ZYX in voxels²: of the positions of voxel centres."""
        n, corner = self.voxels[:, None], self.first
        # About the box's corner, in integers: far from the origin, floats would lose the digits that matter.
        local = self.position - n * corner
        a, b = list(AXES), list(OTHERS)
        products = (
            self.products
            - corner[:, a] * self.position[:, b]
            - corner[:, b] * self.position[:, a]
            + n * corner[:, a] * corner[:, b]
        )
        moments = products / n - (local[:, a] / n) * (local[:, b] / n)
        covariances = np.empty((len(moments), 3, 3))
        covariances[:, a, b] = covariances[:, b, a] = moments
        return covariances


def sum_up(labels: np.ndarray, data: np.ndarray) -> Sums:
    """Add up all nuclei, slab by slab and run by run along X.

    Parameters
    ----------
    labels : numpy.ndarray
        ZYX, integers, 0 for background; as large as 2**32 - 1.
    data : numpy.ndarray
        Intensities, of the same shape.

    Raises
    ------
    ValueError
        These are no labels.
    """
    none = np.empty((0, 3), np.int64)
    parts = [_slab(Runs(none[:, 0], none, none[:, 0]), np.empty(0))]
    for planes in slabs_of_labels(labels):
        slab = np.ascontiguousarray(labels[planes])
        parts.append(_slab(find_runs(slab, planes.start), data[planes][slab != 0].astype(np.float64)))
    return _merged(Sums(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Sums))))


def _slab(runs: Runs, values: np.ndarray) -> Sums:
    """Sums of one slab; `values` are the intensities of the runs' voxels, one after the other."""
    z, y, x = runs.first.T
    n = runs.lengths
    along = n * (2 * x + n - 1) // 2
    squares = n * x**2 + n * (n - 1) * x + (n - 1) * n * (2 * n - 1) // 6
    moments = np.stack([n, n * z, n * y, along, n * z**2, n * y**2, squares, n * z * y, z * along, y * along], axis=1)
    last = runs.first.copy()
    last[:, 2] += n - 1
    groups = Groups(runs.labels)
    totals = groups.total(moments)
    begins = np.cumsum(n) - n
    intensity = groups.total(np.add.reduceat(values, begins))
    means = intensity / totals[:, 0]
    squared = (values - np.repeat(means[groups.rows], n)) ** 2
    return Sums(
        groups.labels,
        totals[:, 0],
        groups.lowest(runs.first),
        groups.highest(last),
        totals[:, 1:4],
        totals[:, 4:],
        intensity,
        groups.total(np.add.reduceat(squared, begins)),
        groups.lowest(np.minimum.reduceat(values, begins)),
        groups.highest(np.maximum.reduceat(values, begins)),
    )


def _merged(parts: Sums) -> Sums:
    """Bring together the parts of the nuclei that lie in several slabs."""
    groups = Groups(parts.labels)
    voxels, intensity = groups.total(parts.voxels), groups.total(parts.intensity)
    apart = parts.intensity / parts.voxels - (intensity / voxels)[groups.rows]
    return Sums(
        groups.labels,
        voxels,
        groups.lowest(parts.first),
        groups.highest(parts.last),
        groups.total(parts.position),
        groups.total(parts.products),
        intensity,
        groups.total(parts.deviation + parts.voxels * apart**2),
        groups.lowest(parts.darkest),
        groups.highest(parts.brightest),
    )
