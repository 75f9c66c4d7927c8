"""Where the objects of a label image are: sizes, centroids and boxes in one pass."""

from dataclasses import dataclass

import numpy as np

from nucseg.runs import Groups, find_runs, slabs


@dataclass(frozen=True)
class Objects:
    """Objects of a label image in ascending order of their labels.

    Attributes
    ----------
    labels : numpy.ndarray
        Without the background; gaps are allowed.
    sizes : numpy.ndarray
        Numbers of voxels, int64.
    centroids : numpy.ndarray
        (objects, 3), ZYX in voxels, voxel centres at integers.
    first, last : numpy.ndarray
        (objects, 3), inclusive corners of the boxes.
    """

    labels: np.ndarray
    sizes: np.ndarray
    centroids: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def index(self, labels: np.ndarray) -> np.ndarray:
        """Positions of labels, which must exist."""
        return np.searchsorted(self.labels, labels)


def locate(labels: np.ndarray) -> Objects:
    """Find all objects of a ZYX label image, slab by slab and run by run along X.

    The volume may be a memory map and labels as large as 2**32 - 1.

    Raises
    ------
    ValueError
        These are no labels.

    Examples
    --------
    >>> found = locate(np.array([[[0, 9, 9, 9, 4]]]))
    >>> found.labels.tolist(), found.sizes.tolist(), found.centroids.tolist()
    ([4, 9], [1, 3], [[0.0, 0.0, 4.0], [0.0, 0.0, 2.0]])
    """
    parts = [_slab(labels, planes) for planes in slabs(labels)]
    rows = np.concatenate([part for part in parts if len(part)] or [np.empty((0, 11), np.int64)])
    numbers, sums, low, high = _gather(rows[:, 0], rows[:, 1:5], rows[:, 5:8], rows[:, 8:])
    return Objects(numbers, sums[:, 0], sums[:, 1:] / (2 * sums[:, :1]), low, high)


def _slab(labels: np.ndarray, planes: slice) -> np.ndarray:
    """Per object: label, size, twice the sums of its coordinates, first and last corner."""
    runs = find_runs(np.ascontiguousarray(labels[planes]), planes.start)
    last = runs.first.copy()
    last[:, 2] += runs.lengths - 1
    sums = np.column_stack([runs.lengths, (runs.first + last) * runs.lengths[:, None]])
    return np.column_stack(_gather(runs.labels, sums, runs.first, last))


def _gather(
    numbers: np.ndarray, sums: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One row per number: what belongs to it added up, the lowest of `first` and the highest of `last`."""
    groups = Groups(numbers)
    return groups.labels, groups.total(sums), groups.lowest(first), groups.highest(last)
