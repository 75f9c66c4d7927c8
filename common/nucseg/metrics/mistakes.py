"""What went wrong with which object: splits, merges, missed and spurious objects."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nucseg.metrics.overlap import OverlapTable


@dataclass(frozen=True)
class Mistakes:
    """Objects that are not in a one-to-one relation, with their labels.

    Attributes
    ----------
    splits : dict
        Per true object that belongs to several predicted ones (over-segmentation), their labels.
    merges : dict
        Per predicted object that belongs to several true ones (under-segmentation), their labels.
    missed : tuple of int
        True objects that belong to no predicted one.
    spurious : tuple of int
        Predicted objects that belong to no true one.
    count_error : int
        Predicted minus true objects.

    All begin with the largest object; partners with the largest common part.
    """

    splits: dict[int, tuple[int, ...]]
    merges: dict[int, tuple[int, ...]]
    missed: tuple[int, ...]
    spurious: tuple[int, ...]
    count_error: int


def mistakes(table: OverlapTable, above: float = 0.5, of: Literal["smaller", "union"] = "smaller") -> Mistakes:
    """List splits, merges, missed and spurious objects.

    Two objects belong together when their common part is more than a share of the smaller one. That holds
    for all pieces of an object in a hundred pieces, and for all members of a clump. ``above=0.1, of="union"``
    is the definition of Caicedo et al. 2019 (IoU above 0.1): there the small pieces and the members of large
    clumps drop out, and count as missed and spurious instead.

    An object may be in several lists: two nuclei that are merged and cut at the wrong place are a split and a
    merge. An empty side makes all objects of the other one spurious or missed.

    Parameters
    ----------
    table : OverlapTable
    above : float
        Share that has to be exceeded, from 0 up to, not including, 1. Exactly that share is not enough.
    of : str
        What the common voxels are divided by: the ``smaller`` object, or the ``union`` of both.

    Examples
    --------
    >>> from nucseg.metrics.overlap import overlap_table
    >>> found = mistakes(overlap_table(np.array([[[3, 3, 3, 3, 0, 8]]]), np.array([[[1, 1, 1, 2, 0, 0]]])))
    >>> found.splits, found.missed, found.count_error
    ({3: (1, 2)}, (8,), 0)
    """
    if not 0 <= above < 1:
        raise ValueError(f"a share lies from 0 up to, not including, 1, not at {above}")
    true_size, pred_size = table.true_sizes[table.true_index], table.pred_sizes[table.pred_index]
    whole = np.minimum(true_size, pred_size) if of == "smaller" else true_size + pred_size - table.common
    kept = np.flatnonzero(table.common > above * whole)
    kept = kept[np.argsort(-table.common[kept], kind="stable")]
    true, pred = table.true_index[kept], table.pred_index[kept]
    return Mistakes(
        _several(true, pred, table.true_labels, table.true_sizes, table.pred_labels),
        _several(pred, true, table.pred_labels, table.pred_sizes, table.true_labels),
        _none(true, table.true_labels, table.true_sizes),
        _none(pred, table.pred_labels, table.pred_sizes),
        len(table.pred_labels) - len(table.true_labels),
    )


def _several(
    index: np.ndarray, partner: np.ndarray, labels: np.ndarray, sizes: np.ndarray, partner_labels: np.ndarray
) -> dict[int, tuple[int, ...]]:
    order = np.argsort(index, kind="stable")
    index, partner = index[order], partner_labels[partner[order]]
    ends = np.append(np.flatnonzero(np.diff(index)) + 1, len(index)) if len(index) else np.empty(0, np.int64)
    starts = np.append(0, ends[:-1]) if len(ends) else ends
    many = np.flatnonzero(ends - starts > 1)
    many = many[np.argsort(-sizes[index[starts[many]]], kind="stable")]
    return {int(labels[index[starts[k]]]): tuple(partner[starts[k] : ends[k]].tolist()) for k in many}


def _none(index: np.ndarray, labels: np.ndarray, sizes: np.ndarray) -> tuple[int, ...]:
    alone = np.setdiff1d(np.arange(len(labels)), index)
    return tuple(labels[alone[np.argsort(-sizes[alone], kind="stable")]].tolist())
