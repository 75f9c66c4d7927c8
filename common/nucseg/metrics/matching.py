"""Matching of predicted objects to true ones and the scores that follow from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nucseg.metrics.overlap import OverlapTable, overlap_table


@dataclass(frozen=True)
class Matching:
    """Scores at one threshold of intersection over union (IoU).

    Definitions are those of ``stardist.matching``, where `average_precision` is called accuracy,
    `mean_matched_iou` mean_matched_score and `mean_true_iou` mean_true_score. A ratio without a
    match is 0. One exception: where there is nothing to find and nothing was found, all ratios are 1.

    Attributes
    ----------
    threshold : float
        Smallest IoU of a match.
    n_true, n_pred : int
        Objects in the ground truth and in the prediction.
    tp, fp, fn : int
        Matched pairs, predicted objects and true objects that are in none.
    precision, recall, f1 : float
    average_precision : float
        TP / (TP + FP + FN), as in the Data Science Bowl 2018.
    mean_matched_iou : float
        Mean IoU of the matched pairs.
    mean_true_iou : float
        The same sum over the number of true objects.
    panoptic_quality : float
        The same sum over TP + FP / 2 + FN / 2 (Kirillov et al., CVPR 2019, eq. 1).
    """

    threshold: float
    n_true: int
    n_pred: int
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    mean_matched_iou: float
    mean_true_iou: float
    panoptic_quality: float


class Pairs(NamedTuple):
    """Matched objects: their labels in the ground truth and in the prediction, and their IoU (float32)."""

    true: np.ndarray
    pred: np.ndarray
    iou: np.ndarray


def match(gt: np.ndarray, pred: np.ndarray, thresholds: Iterable[float] = (0.5,)) -> list[Matching]:
    """Score a label image against the ground truth.

    Parameters
    ----------
    gt, pred : numpy.ndarray
        Label images of one shape; integers, 0 is background, gaps in the numbering do not matter.
    thresholds : iterable of float
        IoU, above 0 and up to 1.

    Returns
    -------
    list of Matching
        One per threshold, in the order given.

    Raises
    ------
    ValueError
        The shapes differ, these are no labels, or a threshold is out of range.
    """
    return match_table(overlap_table(gt, pred), thresholds)


def match_table(table: OverlapTable, thresholds: Iterable[float] = (0.5,)) -> list[Matching]:
    """`match` for an overlap table that is there already."""
    return [_match(table, float(threshold)) for threshold in thresholds]


def matched_pairs(table: OverlapTable, threshold: float = 0.5) -> Pairs:
    """The pairs that `match_table` counts as true positives, in the order of the true labels."""
    if not 0 < threshold <= 1:
        raise ValueError(f"a threshold of IoU lies above 0 and up to 1, not at {threshold}")
    iou = table.iou
    ok = np.flatnonzero(iou >= np.float32(threshold))
    ok = ok[best_pairs(table.true_index[ok], table.pred_index[ok], iou[ok])]
    return Pairs(table.true_labels[table.true_index[ok]], table.pred_labels[table.pred_index[ok]], iou[ok])


def _match(table: OverlapTable, threshold: float) -> Matching:
    matched = matched_pairs(table, threshold).iou
    n_true, n_pred, tp = len(table.true_labels), len(table.pred_labels), len(matched)
    total = float(np.sum(matched, dtype=np.float64))
    empty = n_true == n_pred == 0

    def ratio(part: float, whole: float) -> float:
        if empty:
            return 1.0
        return part / whole if whole else 0.0

    return Matching(
        threshold=threshold,
        n_true=n_true,
        n_pred=n_pred,
        tp=tp,
        fp=n_pred - tp,
        fn=n_true - tp,
        precision=ratio(tp, n_pred),
        recall=ratio(tp, n_true),
        f1=ratio(2 * tp, n_true + n_pred),
        average_precision=ratio(tp, n_true + n_pred - tp),
        mean_matched_iou=ratio(total, tp),
        mean_true_iou=ratio(total, n_true),
        panoptic_quality=ratio(total, (n_true + n_pred) / 2),
    )


def best_pairs(true: np.ndarray, pred: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Positions of pairs that match each object at most once: as many as can be, then of the largest sum of scores.

    `true` and `pred` number the objects of each pair, `score` (an IoU, say) lies between 0 and 1.

    Above an IoU of 0.5, and nearly always below it, a pair's objects are in no other pair. Of the remaining groups,
    connected through common objects, most have one object in all of their pairs: the best pair is taken. Only the
    others need the Hungarian algorithm, each on its own.
    """
    if not len(true):
        return np.empty(0, np.int64)
    alone = (np.bincount(true)[true] == 1) & (np.bincount(pred)[pred] == 1)
    rest = np.flatnonzero(~alone)
    shared = rest[_best_of_groups(true[rest], pred[rest], score[rest])] if len(rest) else rest
    return np.sort(np.concatenate([np.flatnonzero(alone), shared]))


def _best_of_groups(true: np.ndarray, pred: np.ndarray, score: np.ndarray) -> np.ndarray:
    group = _groups(true, pred)
    order = np.lexsort((-score, group))
    best = order[np.diff(group[order], prepend=-1) != 0]
    size, of_best = np.bincount(group), best[group]
    one_true = np.bincount(group, true == true[of_best]) == size
    one_pred = np.bincount(group, pred == pred[of_best]) == size
    simple = one_true | one_pred
    chosen = [best[simple]]
    rest = order[~simple[group[order]]]
    for some in np.split(rest, np.flatnonzero(np.diff(group[rest])) + 1) if len(rest) else ():
        chosen.append(some[_hungarian(true[some], pred[some], score[some])])
    return np.concatenate(chosen)


def _groups(true: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Number of each pair's group, from 0; groups have no object in common."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = int(true.max()) + 1
    nodes = size + int(pred.max()) + 1
    graph = coo_array((np.ones(len(true), np.int8), (true, size + pred)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][true]
    return np.unique(component, return_inverse=True)[1]


def _hungarian(true: np.ndarray, pred: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Positions of the best pairs of one group."""
    from scipy.optimize import linear_sum_assignment

    rows, row = np.unique(true, return_inverse=True)
    columns, column = np.unique(pred, return_inverse=True)
    position = np.full((len(rows), len(columns)), -1)
    position[row, column] = np.arange(len(true))
    gain = np.zeros(position.shape)
    # A further pair is worth more than any sum of scores.
    gain[row, column] = 1 + score.astype(np.float64) / (2 * min(position.shape))
    picked = position[linear_sum_assignment(gain, maximize=True)]
    return picked[picked >= 0]
