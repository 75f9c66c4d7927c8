"""Scores of a whole segmentation that do not depend on a threshold, from one overlap table."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nucseg.metrics.matching import match_table
from nucseg.metrics.overlap import OverlapTable

DSB_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""IoU of the Data Science Bowl 2018: 0.50 to 0.95 in steps of 0.05."""


@dataclass(frozen=True)
class SegmentationScores:
    """How well a segmentation agrees with the ground truth.

    Only how voxels are grouped counts: labels may have gaps and may be exchanged. Where there is nothing to
    find and nothing was found, scores are perfect; where only one side has objects they are the worst (SEG,
    MUCov, IoU, Dice, AJI 0; adapted Rand error 1 where the truth is empty). Most implementations
    divide by zero or return nan there.

    Attributes
    ----------
    seg : float
        Mean over true objects of the IoU with the object that covers more than half of it, 0 where
        there is none (Cell Tracking Challenge, Maška et al. 2014). Exactly half is not enough. Where an
        image has no background py-ctcmetrics loses the lowest label, and QCANet's evaluator the lowest one of
        each object's box, which makes it 0 for identical boxes.
    mucov : float
        Mean over predicted objects of the best IoU with a true one, 0 where a predicted object covers more
        than half of no true one (QCANet, Tokuoka et al. 2020, as its evaluator computes it, which loses
        labels as above, and lets the order of labels decide where a covered object is not the best one).
    iou, dice : float
        Of the foregrounds, all objects taken together (QCANet's IoU; hovernet's dice1).
    aji : float
        Aggregated Jaccard index (Kumar et al. 2017, eq. 1): a predicted object may be the best of several
        true ones. hovernet's `aji` is the same; its `aji_plus` matches one to one, and Cellpose's
        `aggregated_jaccard_index` is a mean of IoU: both give other numbers.
    adapted_rand_error, adapted_rand_precision, adapted_rand_recall : float
        Of pairs of voxels in the true foreground, where predicted background counts as one object; the
        error is 1 - F1 (Arganda-Carreras et al. 2015; ``skimage.metrics.adapted_rand_error``). Precision falls
        with merges and recall with splits, as in CREMI's script; scikit-image 0.26 returns the two the other
        way round. CREMI takes each voxel of predicted background as an object of its own: another error.
    voi_split, voi_merge : float
        Variation of information in bits, H(pred | truth) and H(truth | pred), of the voxels in the true foreground
        (Meilă 2003; ``skimage.metrics.variation_of_information`` with ``ignore_labels=[0]``, CREMI).
        nan where the truth is empty and the prediction is not: no voxel is left.
    """

    seg: float
    mucov: float
    iou: float
    dice: float
    aji: float
    adapted_rand_error: float
    adapted_rand_precision: float
    adapted_rand_recall: float
    voi_split: float
    voi_merge: float


def segmentation_scores(table: OverlapTable) -> SegmentationScores:
    """Compute all scores.

    Examples
    --------
    >>> from nucseg.metrics.overlap import overlap_table
    >>> scores = segmentation_scores(overlap_table(np.array([[[1] * 10]]), np.array([[[4] * 7 + [0] * 3]])))
    >>> scores.seg, scores.mucov, round(scores.dice, 3)
    (0.7, 0.7, 0.824)
    """
    n_true, n_pred = len(table.true_labels), len(table.pred_labels)
    if n_true == 0:
        perfect = float(n_pred == 0)
        bits = 0.0 if n_pred == 0 else float("nan")
        rand = 1 - perfect, perfect, perfect
        return SegmentationScores(perfect, perfect, perfect, perfect, perfect, *rand, bits, bits)
    true_size, pred_size = table.true_sizes[table.true_index], table.pred_sizes[table.pred_index]
    iou = table.common / (true_size + pred_size - table.common)
    covered = 2 * table.common > true_size
    best = np.zeros(n_pred)
    np.maximum.at(best, table.pred_index, iou)
    covers = np.zeros(n_pred, bool)
    covers[table.pred_index[covered]] = True
    both, true, pred = (int(sizes.sum()) for sizes in (table.common, table.true_sizes, table.pred_sizes))
    return SegmentationScores(
        float(iou[covered].sum() / n_true),
        float(best[covers].sum() / max(n_pred, 1)),
        both / (true + pred - both),
        2 * both / (true + pred),
        _aji(table, iou),
        *_rand(table),
        *_information(table),
    )


def mean_average_precision(table: OverlapTable, thresholds: Iterable[float] = DSB_THRESHOLDS) -> float:
    """Mean of TP / (TP + FP + FN) over thresholds of IoU (score of the Data Science Bowl 2018).

    A pair at a threshold is a match. The Bowl's own code wants more than the threshold, which only differs
    for an IoU of exactly a threshold, and compares float sums such as 0.6000000000000001 with it.
    """
    return float(np.mean([result.average_precision for result in match_table(table, thresholds)]))


def _aji(table: OverlapTable, iou: np.ndarray) -> float:
    # Of equal IoU the larger common part wins, whatever the labels are.
    best = table.best_partners(table.common, iou)
    common = table.common[best]
    alone = np.ones(len(table.pred_labels), bool)
    alone[table.pred_index[best]] = False
    # A true object without a partner adds its own size to the union.
    union = table.true_sizes.sum() + (table.pred_sizes[table.pred_index[best]] - common).sum()
    return float(common.sum() / (union + table.pred_sizes[alone].sum()))


def _cells(table: OverlapTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxels of the true foreground per pair, per true and per predicted object, background being one of those."""
    pred = np.bincount(table.pred_index, weights=table.common, minlength=len(table.pred_labels))
    outside = table.true_sizes - np.bincount(table.true_index, weights=table.common, minlength=len(table.true_labels))
    cells = np.concatenate([table.common, outside[outside > 0]]).astype(float)
    return cells, table.true_sizes.astype(float), np.append(pred, outside.sum())


def _rand(table: OverlapTable) -> tuple[float, float, float]:
    # Each voxel's pair with itself is not counted.
    both, true, pred = (float(voxels @ voxels - voxels.sum()) for voxels in _cells(table))
    precision, recall = both / pred if pred else 1.0, both / true if true else 1.0
    total = true + pred
    return 1 - 2 * both / total if total else 0.0, precision, recall


def _information(table: OverlapTable) -> tuple[float, float]:
    both, true, pred = (_entropy(voxels) for voxels in _cells(table))
    return max(0.0, both - true), max(0.0, both - pred)


def _entropy(voxels: np.ndarray) -> float:
    share = voxels[voxels > 0] / voxels.sum()
    return float(-(share @ np.log2(share)))
