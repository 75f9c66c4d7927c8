"""Every score of one segmentation against its ground truth, from one overlap table."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from nucseg.metrics.boundary import SurfaceDistance, mean_distance, surface_distances
from nucseg.metrics.matching import Matching, match_table, matched_pairs
from nucseg.metrics.mistakes import Mistakes, mistakes
from nucseg.metrics.overlap import OverlapTable, overlap_table
from nucseg.metrics.segmentation import SegmentationScores, mean_average_precision, segmentation_scores
from nucseg.metrics.shape import ShapeErrors, shape_errors
from nucseg.volume import Triple

THRESHOLDS = tuple(percent / 100 for percent in range(10, 100, 5))
"""IoU at which a segmentation is scored: 0.10 to 0.95 in steps of 0.05."""


class NucleusScores(NamedTuple):
    """How well each true object was found, in ascending order of the true labels: what a bootstrap draws from.

    Attributes
    ----------
    true : numpy.ndarray
        Labels of the true objects.
    iou : numpy.ndarray
        Best IoU with any predicted object, float32, 0 where none touches.
    pred : numpy.ndarray
        Label of that object (of equal IoU the lowest), 0 where none touches.
    """

    true: np.ndarray
    iou: np.ndarray
    pred: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`.

    Attributes
    ----------
    voxel_size : tuple of float
        ZYX in µm, as given: the unit of `boundary`.
    matching : tuple of Matching
        One per threshold, in the order given.
    mean_average_precision : float
        Over IoU 0.50 to 0.95 in steps of 0.05 (Data Science Bowl 2018), whatever thresholds were given.
    segmentation : SegmentationScores
    mistakes : Mistakes
        With the labels of the objects.
    count_error : int
        Predicted minus true objects.
    matched_at : float
        IoU from which pairs count in `boundary`, `shape_bias` and `shape_error`, which are nan without such pairs.
    tolerance : float
        Of the normalised surface distance, in µm.
    boundary : SurfaceDistance
        Average and 95% Hausdorff distance, ASSD and normalised surface distance: means over the matched nuclei.
    shape_bias, shape_error : ShapeErrors
        Mean of the errors, whose signs cancel, and mean of their absolute values, over the matched nuclei.
    nuclei : NucleusScores
        Per true nucleus.
    """

    voxel_size: Triple
    matching: tuple[Matching, ...]
    mean_average_precision: float
    segmentation: SegmentationScores
    mistakes: Mistakes
    count_error: int
    matched_at: float
    tolerance: float
    boundary: SurfaceDistance
    shape_bias: ShapeErrors
    shape_error: ShapeErrors
    nuclei: NucleusScores

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON has it: lists for tuples, None for nan.

        Keys are the names of the attributes, here and in the dataclasses within, but for two: `mistakes` holds
        the numbers of ``splits``, ``merges``, ``missed`` and ``spurious`` objects, and `nuclei` three lists of
        equal length, ``true``, ``iou`` and ``pred``.
        """
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["matching"] = [asdict(result) for result in self.matching]
        for name in ("segmentation", "boundary", "shape_bias", "shape_error"):
            plain[name] = asdict(plain[name])
        plain["mistakes"] = {name: len(getattr(self.mistakes, name)) for name in _MISTAKES}
        plain["nuclei"] = {name: column.tolist() for name, column in self.nuclei._asdict().items()}
        return _json_ready(plain)


_MISTAKES = ("splits", "merges", "missed", "spurious")


def evaluate(
    gt: np.ndarray,
    pred: np.ndarray,
    voxel_size: Triple,
    thresholds: Iterable[float] = THRESHOLDS,
    *,
    matched_at: float = 0.5,
    tolerance: float | None = None,
) -> Evaluation:
    """Compute all scores of a label image.

    Parameters
    ----------
    gt, pred : numpy.ndarray
        ZYX label images of one shape, or memory maps of them.
    voxel_size : tuple of float
        ZYX in µm; with ``(1, 1, 1)`` distances are in voxels.
    thresholds : iterable of float
        IoU of `Evaluation.matching`.
    matched_at : float
        IoU from which a pair's surfaces and shapes are compared.
    tolerance : float, optional
        Of the normalised surface distance in µm; the longest edge of a voxel by default.

    Raises
    ------
    ValueError
        The shapes differ, these are no labels in ZYX, or a threshold is out of range.

    Examples
    --------
    >>> gt = np.zeros((6, 6, 12), np.uint16)
    >>> gt[1:5, 1:5, 1:5], gt[1:5, 1:5, 7:11] = 1, 2
    >>> result = evaluate(gt, np.where(gt == 1, 1, 0), (2.0, 1.0, 1.0), [0.5])
    >>> result.matching[0].recall, result.boundary.assd, result.to_dict()["mistakes"]["missed"]
    (0.5, 0.0, 1)
    """
    table = overlap_table(gt, pred)
    pairs = matched_pairs(table, matched_at)
    tolerance = max(voxel_size) if tolerance is None else tolerance
    found = mistakes(table)
    errors = np.array(
        [(error.volume, error.area, error.sphericity) for error in shape_errors(gt, pred, pairs, voxel_size)]
    ).reshape(-1, 3)
    return Evaluation(
        voxel_size,
        tuple(match_table(table, thresholds)),
        mean_average_precision(table),
        segmentation_scores(table),
        found,
        found.count_error,
        matched_at,
        tolerance,
        mean_distance(surface_distances(gt, pred, pairs, voxel_size, tolerance)),
        _mean_errors(errors),
        _mean_errors(np.abs(errors)),
        nucleus_scores(table),
    )


def nucleus_scores(table: OverlapTable) -> NucleusScores:
    """Find the best predicted object of each true one; several true objects may share one.

    Examples
    --------
    >>> from nucseg.metrics.overlap import overlap_table
    >>> nucleus_scores(overlap_table(np.array([[[3, 3, 3, 3, 8]]]), np.array([[[5, 5, 6, 0, 0]]])))
    NucleusScores(true=array([3, 8]), iou=array([0.5, 0. ], dtype=float32), pred=array([5, 0]))
    """
    iou, partner = np.zeros(len(table.true_labels), np.float32), np.zeros(len(table.true_labels), np.int64)
    # The highest IoU, and of equal ones the lowest label.
    best = table.best_partners(-table.pred_index, table.iou)
    iou[table.true_index[best]] = table.iou[best]
    partner[table.true_index[best]] = table.pred_labels[table.pred_index[best]]
    return NucleusScores(table.true_labels.astype(np.int64), iou, partner)


def _mean_errors(errors: np.ndarray) -> ShapeErrors:
    return ShapeErrors(*(errors.mean(axis=0) if len(errors) else np.full(3, np.nan)).tolist())


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _json_ready(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value
