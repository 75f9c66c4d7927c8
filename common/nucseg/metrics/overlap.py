"""How many voxels each pair of objects of two label images shares: one pass that feeds all scores."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class OverlapTable:
    """Objects of two label images and their common voxels, sparse.

    Attributes
    ----------
    true_labels, pred_labels : numpy.ndarray
        Labels of the objects, ascending, without the background.
    true_sizes, pred_sizes : numpy.ndarray
        Their numbers of voxels, int64.
    true_index, pred_index : numpy.ndarray
        Per overlapping pair, the positions of its objects in `true_labels` and `pred_labels`.
    common : numpy.ndarray
        Per overlapping pair, the number of common voxels, int64.
    voxels : int
        Of the whole volume, background included.
    """

    true_labels: np.ndarray
    true_sizes: np.ndarray
    pred_labels: np.ndarray
    pred_sizes: np.ndarray
    true_index: np.ndarray
    pred_index: np.ndarray
    common: np.ndarray
    voxels: int

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each overlapping pair, float32 as in ``stardist.matching``."""
        union = self.true_sizes[self.true_index] + self.pred_sizes[self.pred_index] - self.common
        return np.divide(self.common, union, dtype=np.float64).astype(np.float32)

    def best_partners(self, *keys: np.ndarray) -> np.ndarray:
        """Positions of the pairs with the best partner of each true object that has one.

        Parameters
        ----------
        *keys : numpy.ndarray
            Per pair, the higher the better; of equal ones the key before decides, as in `numpy.lexsort`.
        """
        order = np.lexsort((*keys, self.true_index))
        best: np.ndarray = order[np.diff(self.true_index[order], append=-1) != 0]
        return best


def overlap_table(gt: np.ndarray, pred: np.ndarray) -> OverlapTable:
    """Count the common voxels of all objects.

    One pass that looks something up only where a run of equal pairs along X begins (`nucseg.metrics.run_sums`):
    little memory beyond the two inputs, which may be memory maps.

    Parameters
    ----------
    gt, pred : numpy.ndarray
        Label images of one shape, integers from 0 (background) to 2**32 - 1.

    Raises
    ------
    ValueError
        The shapes differ, or these are no labels.

    Examples
    --------
    >>> table = overlap_table(np.array([[[1, 1, 2, 0]]]), np.array([[[0, 5, 5, 5]]]))
    >>> table.common.tolist(), table.true_sizes.tolist(), table.pred_sizes.tolist()
    ([1, 1], [2, 1], [3])
    """
    return overlap_of_blocks([(gt, pred)])


def overlap_of_blocks(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> OverlapTable:
    """`overlap_table` of volumes that come in blocks, (truth, prediction) each: any shapes, any order, no overlap.

    Labels hold for the whole volume. Only one block has to be in memory.
    """
    from nucseg.metrics.run_sums import Sums, add_pairs, sign_bit, unsigned

    sums, voxels = Sums(add_pairs, columns=1), 0
    for gt, pred in blocks:
        _check(gt, pred)
        voxels += gt.size
        signs = sign_bit(gt) << 32 | sign_bit(pred)

        def planes(part: slice, gt: np.ndarray = gt, pred: np.ndarray = pred, signs: int = signs) -> tuple[Any, ...]:
            return unsigned(gt[part]).ravel(), unsigned(pred[part]).ravel(), np.uint64(signs)

        sums.add(gt.shape, planes)
    keys, rows = sums.rows()
    return _table(*_sum_up(keys, rows[:, 0]), voxels)


def _check(gt: np.ndarray, pred: np.ndarray) -> None:
    if gt.shape != pred.shape:
        raise ValueError(f"label images of shapes {gt.shape} and {pred.shape} cannot be compared")
    for labels in (gt, pred):
        if labels.dtype.kind not in "uib":
            raise ValueError(f"labels are integers, not {labels.dtype}")


def _table(keys: np.ndarray, counts: np.ndarray, voxels: int) -> OverlapTable:
    true, predicted = keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)
    true_labels, true_sizes = _sum_up(true[true > 0], counts[true > 0])
    pred_labels, pred_sizes = _sum_up(predicted[predicted > 0], counts[predicted > 0])
    both = (true > 0) & (predicted > 0)
    return OverlapTable(
        true_labels,
        true_sizes,
        pred_labels,
        pred_sizes,
        np.searchsorted(true_labels, true[both]),
        np.searchsorted(pred_labels, predicted[both]),
        counts[both],
        voxels,
    )


def _sum_up(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unique keys, ascending, and the sum of their counts (exact up to 2**53 voxels)."""
    unique, inverse = np.unique(keys, return_inverse=True)
    return unique, np.bincount(inverse, weights=counts, minlength=len(unique)).astype(np.int64)
