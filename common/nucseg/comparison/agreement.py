"""How far methods agree with each other, and what that says about which one to trust."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nucseg.comparison.groups import Tables
from nucseg.comparison.ranking import Found, Rank, bootstrap, f1_of, rank
from nucseg.metrics.matching import matched_pairs
from nucseg.metrics.overlap import OverlapTable

FEWEST = 3
"""Two methods agree with each other equally: only a third one can tell which is the outlier."""


@dataclass(frozen=True)
class Agreement:
    """F1 of each method against each other one, and the methods in the order of their mean.

    Attributes
    ----------
    matrix : numpy.ndarray
        (methods, methods): F1 at `nucseg.comparison.groups.SAME`, a mean over the volumes; symmetric.
    ranks : list of Rank
        By the mean F1 with all others.
    """

    matrix: np.ndarray
    ranks: list[Rank]


def agreement(methods: Sequence[str], volumes: Sequence[Tables], rng: np.random.Generator) -> Agreement:
    """Compare every pair of methods.

    Each method in turn is the reference that the others are scored against; a method's agreement is the mean
    of its scores. It ranks methods as ground truth would as long as they do not make the same mistakes.

    Parameters
    ----------
    methods : sequence of str
        Two or more.
    volumes : sequence of dict
        Per volume, from `nucseg.comparison.groups.overlap_tables`.
    rng : numpy.random.Generator
    """
    count = len(methods)
    matrix = np.eye(count)
    replicates = []
    for reference in range(count):
        found = [_against(tables, reference, count) for tables in volumes]
        others = [m for m in range(count) if m != reference]
        matrix[others, reference] = np.mean([f1_of(each) for each in found], axis=0)
        drawn = bootstrap(found, rng)
        replicates.append(np.insert(drawn, reference, np.nan, axis=1))
    means = (matrix.sum(axis=1) - 1) / (count - 1)
    return Agreement(matrix, rank(methods, means.tolist(), np.nanmean(replicates, axis=0)))


def _against(tables: Tables, reference: int, methods: int) -> Found:
    """The other methods against a reference, in their order."""
    columns, spurious = [], []
    for other in range(methods):
        if other == reference:
            continue
        is_true = reference < other
        table = tables[min(reference, other), max(reference, other)]
        columns.append(_matched(table, of_true=is_true))
        spurious.append(np.count_nonzero(~_matched(table, of_true=not is_true)))
    return Found(np.stack(columns, axis=1), np.array(spurious))


def _matched(table: OverlapTable, *, of_true: bool) -> np.ndarray:
    """Of each object of one side, whether it has a partner."""
    pairs = matched_pairs(table)
    return np.isin(table.true_labels, pairs.true) if of_true else np.isin(table.pred_labels, pairs.pred)


def against_truth(tables: Sequence[OverlapTable]) -> Found:
    """Several methods against the ground truth of one volume.

    Parameters
    ----------
    tables : sequence of OverlapTable
        Ground truth (`true_labels`) and prediction, one per method.
    """
    spurious = [np.count_nonzero(~_matched(table, of_true=False)) for table in tables]
    return Found(np.stack([_matched(table, of_true=True) for table in tables], axis=1), np.array(spurious))
