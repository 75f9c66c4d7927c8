"""Label images as runs of one label along X: an object has a tenth as many of them as voxels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nucseg.volume import slabs

_SLAB_VOXELS = 1 << 22


@dataclass(frozen=True)
class Runs:
    """The runs of a slab, without those of the background, in the order of the voxels.

    Attributes
    ----------
    labels : numpy.ndarray
        One per run, int64.
    first : numpy.ndarray
        (runs, 3), ZYX of the first voxels in the whole volume.
    lengths : numpy.ndarray
        Numbers of voxels.
    """

    labels: np.ndarray
    first: np.ndarray
    lengths: np.ndarray


def slabs_of_labels(labels: np.ndarray) -> Iterator[slice]:
    """Divide a ZYX label image into slices along Z of a few million voxels each.

    Raises
    ------
    ValueError
        These are no labels.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "uib":
        raise ValueError(f"labels are integers in ZYX, not {labels.dtype} in {labels.ndim} dimensions")
    return slabs(labels.shape, _SLAB_VOXELS)


def find_runs(slab: np.ndarray, z: int) -> Runs:
    """Find the runs of a slab that begins at slice `z`.

    Raises
    ------
    ValueError
        A label is negative.

    Examples
    --------
    >>> runs = find_runs(np.array([[[0, 9, 9, 9, 4]]]), z=7)
    >>> runs.labels.tolist(), runs.first.tolist(), runs.lengths.tolist()
    ([9, 4], [[7, 0, 1], [7, 0, 4]], [3, 1])
    """
    begins = np.ones(slab.shape, bool)
    begins[..., 1:] = slab[..., 1:] != slab[..., :-1]
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=slab.size)
    flat = np.ravel(slab)
    of_object = flat[starts] != 0
    starts, lengths = starts[of_object], lengths[of_object]
    labels = flat[starts].astype(np.int64)
    if len(labels) and labels.min() < 0:
        raise ValueError("labels cannot be negative")
    first = np.stack(np.unravel_index(starts, slab.shape), axis=1)
    first[:, 0] += z
    return Runs(labels, first, lengths)


class Groups:
    """What belongs to the same label, brought together.

    Parameters
    ----------
    labels : numpy.ndarray
        Of each row, int64, not negative.

    Attributes
    ----------
    labels : numpy.ndarray
        Each once, ascending: the rows of all results.
    rows : numpy.ndarray
        For each row that went in, its row in the results.

    Examples
    --------
    >>> groups = Groups(np.array([7, 3, 7]))
    >>> groups.labels.tolist(), groups.total(np.array([1, 10, 100])).tolist(), groups.rows.tolist()
    ([3, 7], [10, 101], [1, 0, 1])
    """

    def __init__(self, labels: np.ndarray) -> None:
        self._order = np.argsort(labels, kind="stable")
        ascending = labels[self._order]
        begins = np.diff(ascending, prepend=-1) != 0
        self._starts = np.flatnonzero(begins)
        self.labels = ascending[self._starts]
        self.rows = np.empty(len(labels), np.intp)
        self.rows[self._order] = np.cumsum(begins) - 1

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum over the rows of each label."""
        return np.add.reduceat(values[self._order], self._starts)

    def lowest(self, values: np.ndarray) -> np.ndarray:
        """The lowest value of each label, column by column."""
        return np.minimum.reduceat(values[self._order], self._starts)

    def highest(self, values: np.ndarray) -> np.ndarray:
        """The highest value of each label, column by column."""
        return np.maximum.reduceat(values[self._order], self._starts)
