"""The scores of one label image against ground truth, as `comparison.json` and the score tables have them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.errors import NucsegError
from nucseg.formats.label_file import open_labels
from nucseg.metrics.evaluation import Evaluation, evaluate
from nucseg.metrics.mistakes import Mistakes
from nucseg.metrics.objects import Objects, locate
from nucseg.volume import Triple
from nucseg_launcher.record import table_text, write_json, write_text

MOST_MISTAKES = 20
"""Objects that are listed of each kind of mistake, the largest first."""

Centre = list[float]


def score(truth: np.ndarray, labels: np.ndarray, voxel_size: Triple | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """All scores of a label image, and where it goes wrong.

    Parameters
    ----------
    truth, labels : numpy.ndarray
        ZYX label images of one shape.
    voxel_size : tuple of float or None
        ZYX in µm. Without it, distances are in voxels, and so named.

    Returns
    -------
    scores : dict
        One value per name, and ``f1_by_iou``, a list over thresholds; None where a score is not defined.
    mistakes : dict
        ``splits``, ``merges``, ``missed`` and ``spurious``, each a list of labels and centres (ZYX, in voxels).
    """
    result = evaluate(truth, labels, voxel_size or (1.0, 1.0, 1.0))
    return _scores(result, "um" if voxel_size else "voxels"), _mistakes(result.mistakes, locate(truth), locate(labels))


def score_files(pred: Path, truth: Path) -> dict[str, Any]:
    """`score` of two files, the mistakes among the scores.

    Raises
    ------
    NucsegError
        A file is no label image, or the shapes differ.
    """
    true, labels = open_labels(truth), open_labels(pred)
    if true.shape != labels.shape:
        cause = f"{pred.name} has shape {labels.shape} and its ground truth {true.shape}"
        raise NucsegError(cause, f"replace one of {pred} and {truth}")
    scores, found = score(true.read(), labels.read(), true.voxel_size or labels.voxel_size)
    return {**scores, "mistakes": found}


def write_scores(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write scores as JSON with everything, or as a table (.tsv) with the single values."""
    if path.suffix == ".json":
        write_json(path, list(rows))
    else:
        plain = [{key: value for key, value in row.items() if not isinstance(value, list | dict)} for row in rows]
        write_text(path, table_text(plain, dict.fromkeys(key for row in plain for key in row)))


def _scores(result: Evaluation, unit: str) -> dict[str, Any]:
    plain = result.to_dict()
    by_iou = plain["matching"]
    half = next(row for row in by_iou if row["threshold"] == 0.5)
    strict = next(row for row in by_iou if row["threshold"] == 0.75)
    boundary = plain["boundary"]
    return {
        **{f"{name}_50": half[name] for name in ("f1", "precision", "recall")},
        "f1_75": strict["f1"],
        "mean_average_precision": plain["mean_average_precision"],
        **{name: half[name] for name in ("mean_matched_iou", "mean_true_iou", "panoptic_quality")},
        **{name: half[name] for name in ("n_true", "n_pred", "tp", "fp", "fn")},
        **plain["segmentation"],
        **{f"n_{name}": count for name, count in plain["mistakes"].items()},
        "count_error": plain["count_error"],
        **{f"{name}_{unit}": boundary[name] for name in ("hausdorff", "hausdorff95", "average_hausdorff", "assd")},
        "nsd": boundary["nsd"],
        f"nsd_tolerance_{unit}": plain["tolerance"],
        **{f"{name}_error": value for name, value in plain["shape_error"].items()},
        "f1_by_iou": by_iou,
    }


def _mistakes(found: Mistakes, true: Objects, pred: Objects) -> dict[str, Any]:
    return {
        "splits": [
            {"true": label, "pred": list(parts), "centre": _centre(true, label)}
            for label, parts in list(found.splits.items())[:MOST_MISTAKES]
        ],
        "merges": [
            {"pred": label, "true": list(parts), "centre": _centre(pred, label)}
            for label, parts in list(found.merges.items())[:MOST_MISTAKES]
        ],
        "missed": [{"true": label, "centre": _centre(true, label)} for label in found.missed[:MOST_MISTAKES]],
        "spurious": [{"pred": label, "centre": _centre(pred, label)} for label in found.spurious[:MOST_MISTAKES]],
    }


def _centre(objects: Objects, label: int) -> Centre:
    return objects.centroids[int(objects.index(np.array([label]))[0])].round(1).tolist()
