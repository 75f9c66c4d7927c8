"""One nucleus, as several methods see it: objects of their label images that belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nucseg.formats.label_file import LabelFile
from nucseg.metrics.matching import best_pairs
from nucseg.metrics.overlap import OverlapTable, overlap_of_blocks

SAME = 0.5
"""Two objects are the same nucleus from this IoU on, as in the scores."""

Tables = dict[tuple[int, int], OverlapTable]
"""Overlaps of the label images i < j, by (i, j)."""


@dataclass(frozen=True)
class Groups:
    """Nuclei of one volume, the best supported first.

    Attributes
    ----------
    labels : numpy.ndarray
        (nuclei, methods), int64: each method's label of the nucleus, 0 where it has none.
    iou : numpy.ndarray
        (nuclei,): mean IoU of the object that the group was built around with the others; 0 for a lone one.
    """

    labels: np.ndarray
    iou: np.ndarray

    @property
    def support(self) -> np.ndarray:
        """(nuclei,): how many methods have the nucleus."""
        return np.count_nonzero(self.labels, axis=1)


def overlap_tables(files: Sequence[LabelFile]) -> Tables:
    """The overlaps of every pair of label images of one volume; two slabs are in memory at a time.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    pairs = combinations(range(len(files)), 2)
    return {(i, j): overlap_of_blocks(zip(files[i].slabs(), files[j].slabs(), strict=True)) for i, j in pairs}


def group_objects(tables: Tables, methods: int) -> Groups:
    """Put objects of different methods that are the same nucleus into groups.

    Objects are taken in the order of how many methods have a partner for them (IoU of `SAME` or more) and
    how well these fit; each one that is still free makes a group of itself and its free partners. So every
    object is in exactly one group, and a group has at most one object of each method.

    Parameters
    ----------
    tables : dict
        From `overlap_tables`.
    methods : int
        Number of label images, two or more.
    """
    labels = [_labels_of(tables, m) for m in range(methods)]
    sizes = [len(own) for own in labels]
    partner = [np.full((size, methods), -1) for size in sizes]
    iou = [np.zeros((size, methods)) for size in sizes]
    for (i, j), table in tables.items():
        kept = np.flatnonzero(table.iou >= np.float32(SAME))
        kept = kept[best_pairs(table.true_index[kept], table.pred_index[kept], table.iou[kept])]
        a, b = table.true_index[kept], table.pred_index[kept]
        partner[i][a, j], partner[j][b, i] = b, a
        iou[i][a, j] = iou[j][b, i] = table.iou[kept]
    owner = np.repeat(np.arange(methods), sizes)
    position = np.concatenate([np.arange(size) for size in sizes])
    count = np.concatenate([np.count_nonzero(p >= 0, axis=1) for p in partner])
    fit = np.concatenate([values.sum(axis=1) for values in iou])
    free = [np.ones(size, bool) for size in sizes]
    rows, means = [], []
    for node in np.lexsort((-fit, -count)):
        m, k = int(owner[node]), int(position[node])
        if not free[m][k]:
            continue
        members = {m: k} | {j: p for j, p in enumerate(partner[m][k].tolist()) if p >= 0 and free[j][p]}
        row = np.zeros(methods, np.int64)
        for j, p in members.items():
            free[j][p] = False
            row[j] = labels[j][p]
        rows.append(row)
        means.append(iou[m][k, list(members)].sum() / max(1, len(members) - 1))
    groups = Groups(np.array(rows, np.int64).reshape(-1, methods), np.array(means))
    order = np.lexsort((-groups.iou, -groups.support))
    return Groups(groups.labels[order], groups.iou[order])


def _labels_of(tables: Tables, method: int) -> np.ndarray:
    for (i, j), table in tables.items():
        if method in (i, j):
            return table.true_labels if method == i else table.pred_labels
    raise ValueError(f"there is no table of label image {method}")
