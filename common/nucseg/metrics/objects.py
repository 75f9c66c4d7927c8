"""Where the objects of a label image are: sizes, centroids and boxes in one pass."""

from dataclasses import dataclass

import numpy as np

from nucseg.runs import Groups


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
    """Find all objects of a ZYX label image, run by run along X.

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
    from nucseg.metrics.run_sums import Sums, add_objects, sign_bit, unsigned

    found = Sums(add_objects, columns=10)
    found.add(labels.shape, lambda part: (unsigned(labels[part]), part.start, np.uint64(sign_bit(labels))))
    numbers, rows = found.rows()
    groups = Groups(numbers.astype(np.int64))
    sums = groups.total(rows[:, :4])
    centroids = sums[:, 1:] / (2 * sums[:, :1])
    return Objects(groups.labels, sums[:, 0], centroids, groups.lowest(rows[:, 4:7]), groups.highest(rows[:, 7:]))
