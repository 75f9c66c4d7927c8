"""Detection: centroids of predicted objects near centroids of true ones."""

from dataclasses import dataclass

import numpy as np

from nucseg.metrics.matching import best_pairs


@dataclass(frozen=True)
class Detection:
    """Scores of points within a distance of true points.

    A ratio without a match is 0; where there is nothing to find and nothing was found, ratios are 1.

    Attributes
    ----------
    distance : float
        Largest distance of a match, in the unit of the points.
    tp, fp, fn : int
        Matched pairs, predicted and true points that are in none.
    precision, recall, f1 : float
    mean_distance, rms_distance : float
        Of the matched pairs; nan without any.
    true_index, pred_index : numpy.ndarray
        Positions of the matched points.
    """

    distance: float
    tp: int
    fp: int
    fn: int
    precision: float
    recall: float
    f1: float
    mean_distance: float
    rms_distance: float
    true_index: np.ndarray
    pred_index: np.ndarray


def detect(true: np.ndarray, pred: np.ndarray, distance: float) -> Detection:
    """Match points one to one: as many as can be, then with the smallest sum of distances.

    The Hungarian algorithm with a gate, on each group of points within reach of each other (candidates come from
    a k-d tree). Exactly `distance` is a match. Greedy nearest matching and hovernet's ``pair_coordinates``
    (which assigns without the gate and then drops pairs) find fewer pairs where points are dense.

    Parameters
    ----------
    true, pred : numpy.ndarray
        (points, axes), both in the unit of `distance`: multiply centroids
        (`nucseg.metrics.objects.locate`) by the voxel size in µm.
    distance : float
        Above 0.

    Examples
    --------
    >>> found = detect(np.array([[0.0, 0, 0], [0, 0, 9]]), np.array([[0.0, 0, 2]]), 3.0)
    >>> found.tp, found.fn, found.precision, found.mean_distance
    (1, 1, 1.0, 2.0)
    """
    from scipy.spatial import cKDTree

    if not 0 < distance < np.inf:
        raise ValueError(f"a distance is above 0 and finite, not {distance}")
    n_true, n_pred = len(true), len(pred)
    i = j = np.empty(0, np.int64)
    apart = np.empty(0)
    if n_true and n_pred:
        # A little further in the tree, so that its rounding does not decide at exactly the distance.
        near = cKDTree(true).sparse_distance_matrix(cKDTree(pred), distance * (1 + 1e-9), output_type="ndarray")
        near = np.sort(near[near["v"] <= distance * (1 + 1e-12)], order=["i", "j"])
        i, j, apart = near["i"], near["j"], near["v"]
        chosen = best_pairs(i, j, np.clip(1 - apart / distance, 0, 1))
        i, j, apart = i[chosen], j[chosen], apart[chosen]
    tp = len(i)
    empty = n_true == n_pred == 0

    def ratio(part: int, whole: int) -> float:
        return 1.0 if empty else part / whole if whole else 0.0

    return Detection(
        distance,
        tp,
        n_pred - tp,
        n_true - tp,
        ratio(tp, n_pred),
        ratio(tp, n_true),
        ratio(2 * tp, n_true + n_pred),
        float(apart.mean()) if tp else float("nan"),
        float(np.sqrt(np.mean(apart**2))) if tp else float("nan"),
        i,
        j,
    )
