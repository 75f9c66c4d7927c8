"""The scores of one image's labels, as the run record has them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.errors import NucsegError
from nucseg.formats import content_sha256, read_labels
from nucseg.labels import is_in_pieces
from nucseg.machine import available_memory
from nucseg.progress import say

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""IoU at which results are scored."""

DISTANCE_BYTES = 6
"""Of memory per voxel that BIAFLOWS' average distance takes."""

KEYS = ("truth_sha256", "scores", "biaflows")
"""What `score_labels` returns."""


def score_labels(name: str, labels: np.ndarray, path: Path) -> dict[str, Any]:
    """Score an image's labels against its ground truth, and say so.

    Parameters
    ----------
    name : str
        The image's file name.
    labels : numpy.ndarray
        ZYX.
    path : pathlib.Path
        The ground truth.

    Returns
    -------
    dict
        ``truth_sha256``, ``scores``, one entry per threshold, and ``biaflows``, unless the memory is too small for it.

    Raises
    ------
    NucsegError
        The ground truth is no label image, or of another shape.
    """
    from nucseg.metrics.biaflows import biaflows_line, biaflows_scores
    from nucseg.metrics.matching import match

    truth = read_labels(path)
    if truth.shape != labels.shape:
        cause = f"the ground truth has shape {truth.shape} and the image {labels.shape}"
        raise NucsegError(cause, f"replace {path.name}")
    scores = match(truth, labels, THRESHOLDS)
    best = scores[0]
    say(
        f"scores {name}: at IoU {best.threshold}: F1 {best.f1:.3f}, precision {best.precision:.3f}, "
        f"recall {best.recall:.3f}; mean matched IoU {best.mean_matched_iou:.3f}; "
        f"{best.n_true} true and {best.n_pred} found nuclei"
    )
    if best.n_true == 1 and is_in_pieces(truth):
        say(f"warning: {path.name} is a mask of 0 and one value: in ground truth, each nucleus has its own number")
    elif int(truth.max()) != best.n_true:
        say(f"note: the numbers in {path.name} have gaps, so BIAFLOWS' metrics take it for a mask")
    facts = {"truth_sha256": content_sha256(path), "scores": [asdict(score) for score in scores]}
    if (takes := DISTANCE_BYTES * labels.size) > (free := available_memory()):
        say(f"warning: no BIAFLOWS metrics of {name}: they take {takes / 1e9:.3g} GB, and {free / 1e9:.3g} GB are free")
        return facts
    biaflows = biaflows_scores(truth, labels)
    say(biaflows_line(name, biaflows))
    return {**facts, "biaflows": biaflows.to_dict()}
