"""Where the objects of a label image are: sizes, centroids and boxes in one pass."""

from dataclasses import dataclass

import numpy as np

_SLAB_VOXELS = 1 << 22


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
    if labels.ndim != 3 or labels.dtype.kind not in "uib":
        raise ValueError(f"labels are integers in ZYX, not {labels.dtype} in {labels.ndim} dimensions")
    parts = [_slab(labels, z) for z in range(0, len(labels), _planes(labels))]
    rows = np.concatenate([part for part in parts if len(part)] or [np.empty((0, 11), np.int64)])
    numbers, sums, low, high = _gather(rows[:, 0], rows[:, 1:5], rows[:, 5:8], rows[:, 8:])
    return Objects(numbers, sums[:, 0], sums[:, 1:] / (2 * sums[:, :1]), low, high)


def _planes(labels: np.ndarray) -> int:
    return max(1, _SLAB_VOXELS // max(1, labels.shape[1] * labels.shape[2]))


def _slab(labels: np.ndarray, z: int) -> np.ndarray:
    """Per object: label, size, twice the sums of its coordinates, first and last corner."""
    slab = np.ascontiguousarray(labels[z : z + _planes(labels)])
    begins = np.ones(slab.shape, bool)
    begins[..., 1:] = slab[..., 1:] != slab[..., :-1]
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=slab.size)
    of_object = slab.ravel()[starts] != 0
    starts, lengths = starts[of_object], lengths[of_object]
    numbers = slab.ravel()[starts].astype(np.int64)
    if len(numbers) and numbers.min() < 0:
        raise ValueError("labels cannot be negative")
    first = np.stack(np.unravel_index(starts, slab.shape), axis=1)
    first[:, 0] += z
    last = first.copy()
    last[:, 2] += lengths - 1
    sums = np.column_stack([lengths, (first + last) * lengths[:, None]])
    numbers, sums, first, last = _gather(numbers, sums, first, last)
    return np.column_stack([numbers, sums, first, last])


def _gather(
    numbers: np.ndarray, sums: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One row per number: what belongs to it added up, the lowest of `first` and the highest of `last`."""
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    groups = np.flatnonzero(np.diff(numbers, prepend=-1))
    if not len(groups):
        return numbers, sums, first, last
    return (
        numbers[groups],
        np.add.reduceat(sums[order], groups),
        np.minimum.reduceat(first[order], groups),
        np.maximum.reduceat(last[order], groups),
    )
