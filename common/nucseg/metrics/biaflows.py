"""The four numbers that BIAFLOWS reports for object segmentation, under its names and by its definitions.

Source: ``biaflows/metrics/compute_metrics.py`` of biaflows-utilities 0.9, class ObjSeg. It has DC and AHD from
VISCERAL's EvaluateSegmentation (Taha & Hanbury 2015), and mAP from Caicedo et al. 2019.
"""

from dataclasses import dataclass
from math import isnan

import numpy as np

from nucseg.metrics.overlap import OverlapTable, overlap_table

_THRESHOLDS = np.arange(0.5, 1.0, 0.05)
"""With BIAFLOWS' rounding, such as 0.6000000000000001: an IoU of 0.6 is no match there."""


@dataclass(frozen=True)
class BiaflowsScores:
    """Scores as BIAFLOWS computes them.

    An empty prediction has DC 0, AHD nan, FOVL 0 and mAP 0, as in BIAFLOWS. An empty ground truth makes BIAFLOWS
    stop (FOVL divides by 0); here the scores are the same as for an empty prediction, or perfect (DC 1, AHD 0,
    FOVL 1, mAP 1) where the prediction is empty too.

    Attributes
    ----------
    dc : float
        Dice coefficient of the foregrounds; instances do not count. VISCERAL reduces labels to 8 bits first, and
        so loses the lowest of more than 255; here no label is lost.
    ahd : float
        Average Hausdorff distance of the foregrounds in voxels, whatever their size: mean distance from a voxel of
        one to the other, 0 inside of it, the mean of both directions.
    fovl : float
        Fraction of overlap: mean over the true objects of the largest common part with a predicted one (of equal
        ones the lowest label's) over the larger of the two.
    map : float
        Mean of TP / (TP + FP + FN) over IoU of *more* than 0.50, 0.55, ... 0.95. 0 where an image has no
        background, because BIAFLOWS takes the lowest label for it.
    """

    dc: float
    ahd: float
    fovl: float
    map: float

    def named(self) -> dict[str, float]:
        """By BIAFLOWS' names."""
        return {"DC": self.dc, "AHD": self.ahd, "FOVL": self.fovl, "mAP": self.map}

    def to_dict(self) -> dict[str, float | None]:
        """By BIAFLOWS' names, as JSON has it: None for nan."""
        return {name: None if isnan(value) else value for name, value in self.named().items()}


def biaflows_scores(gt: np.ndarray, pred: np.ndarray) -> BiaflowsScores:
    """Score a label image as BIAFLOWS does.

    An image in which a number between 0 and the largest label is missing, or whose only label is 1, is taken for a
    mask: its objects are the connected components (26 neighbours) of its foreground, for FOVL and mAP.

    Parameters
    ----------
    gt, pred : numpy.ndarray
        ZYX label images of one shape.

    Raises
    ------
    ValueError
        The shapes differ, or these are no labels.

    Examples
    --------
    >>> gt, pred = np.zeros((2, 1, 1, 12), np.uint8)
    >>> gt[..., :4], gt[..., 6:10], pred[..., :3], pred[..., 6:10] = 1, 2, 1, 2
    >>> biaflows_scores(gt, pred)
    BiaflowsScores(dc=0.9333333333333333, ahd=0.0625, fovl=0.875, map=0.6666666666666666)
    """
    table = overlap_table(gt, pred)
    if not len(table.true_labels) or not len(table.pred_labels):
        perfect = len(table.true_labels) == len(table.pred_labels)
        return BiaflowsScores(1.0, 0.0, 1.0, 1.0) if perfect else BiaflowsScores(0.0, float("nan"), 0.0, 0.0)
    both, true, predicted = (int(sizes.sum()) for sizes in (table.common, table.true_sizes, table.pred_sizes))
    distances = _distance(gt, pred), _distance(pred, gt)
    true_is_mask = _is_mask(table.true_labels, true < table.voxels)
    pred_is_mask = _is_mask(table.pred_labels, predicted < table.voxels)
    if true_is_mask or pred_is_mask:
        table = overlap_table(_parts(gt) if true_is_mask else gt, _parts(pred) if pred_is_mask else pred)
    background = max(true, predicted) < table.voxels
    return BiaflowsScores(
        2 * both / (true + predicted), sum(distances) / 2, _fovl(table), _map(table) if background else 0.0
    )


def biaflows_line(name: str, scores: BiaflowsScores) -> str:
    """Format the scores of an image as BIAFLOWS prints them.

    Examples
    --------
    >>> biaflows_line("a.tif", BiaflowsScores(0.5, float("nan"), 0.25, 0.0))
    '> a.tif: [DC:0.5, AHD:nan, FOVL:0.25, mAP:0.0]'
    """
    return f"> {name}: [{', '.join(f'{metric}:{value}' for metric, value in scores.named().items())}]"


def _is_mask(labels: np.ndarray, background: bool) -> bool:
    return not background or int(labels[-1]) != len(labels) or len(labels) == 1


def _parts(labels: np.ndarray) -> np.ndarray:
    from cc3d import connected_components

    return np.asarray(connected_components(labels > 0, connectivity=26, out_dtype=np.uint32))


def _distance(of: np.ndarray, to: np.ndarray) -> float:
    """Mean distance of the foreground's voxels to another foreground."""
    from edt import edt

    from nucseg.machine import usable_cores

    outside = np.ascontiguousarray(to == 0).view(np.uint8)
    distance = edt(outside, black_border=False, parallel=usable_cores())
    return float(np.sum(distance, where=of > 0, dtype=np.float64) / np.count_nonzero(of))


def _fovl(table: OverlapTable) -> float:
    best = table.best_partners(-table.pred_index, table.common)
    larger = np.maximum(table.true_sizes[table.true_index[best]], table.pred_sizes[table.pred_index[best]])
    return float((table.common[best] / larger).sum() / len(table.true_labels))


def _map(table: OverlapTable) -> float:
    union = table.true_sizes[table.true_index] + table.pred_sizes[table.pred_index] - table.common
    iou = table.common / union
    # Above one half no object has two matches.
    matches = np.array([np.count_nonzero(iou > threshold) for threshold in _THRESHOLDS])
    return float(np.mean(matches / (len(table.true_labels) + len(table.pred_labels) - matches)))
