from itertools import permutations

import numpy as np
import pytest

from nucseg.metrics.detection import detect
from nucseg.metrics.objects import locate


def test_counts_and_distances_of_the_reference(case) -> None:
    true, pred = locate(case.gt).centroids, locate(case.pred).centroids
    for distance, (tp, rms) in case.expected["centroids"].items():
        result = detect(true, pred, float(distance))
        assert (result.tp, result.fp, result.fn) == (tp, len(pred) - tp, len(true) - tp)
        assert result.rms_distance == pytest.approx(rms)


@pytest.mark.parametrize("seed", range(5))
def test_as_many_pairs_as_can_be_and_then_the_nearest(seed: int) -> None:
    true, pred = np.random.default_rng(seed).random((2, 6, 3))
    result = detect(true, pred, 0.4)
    apart = np.linalg.norm(true[:, None] - pred[None], axis=2)
    best = min(
        (-np.count_nonzero(d <= 0.4), d[d <= 0.4].sum()) for d in (apart[range(6), p] for p in permutations(range(6)))
    )
    assert (-result.tp, result.mean_distance * result.tp) == pytest.approx(best)


def test_exactly_the_distance_is_a_match() -> None:
    points = np.array([[0.1, 0.2, 0.3]])
    for distance in (0.1, 0.3, 2.0, 7.7):
        assert detect(points, points + np.array([0, 0, distance]), distance).tp == 1
        assert detect(points, points + np.array([0, 0, distance * 1.001]), distance).tp == 0


def test_each_point_is_matched_once() -> None:
    result = detect(np.zeros((1, 3)), np.zeros((4, 3)), 1.0)
    assert (result.tp, result.fp, result.fn) == (1, 3, 0)
    assert (result.precision, result.recall, result.f1) == (0.25, 1, pytest.approx(0.4))


def test_empty_sides() -> None:
    none, some = np.empty((0, 3)), np.zeros((2, 3))
    assert detect(none, none, 1.0).f1 == 1
    assert (detect(some, none, 1.0).fn, detect(some, none, 1.0).recall) == (2, 0)
    assert (detect(none, some, 1.0).fp, detect(none, some, 1.0).precision) == (2, 0)
    assert np.isnan(detect(none, some, 1.0).mean_distance)


def test_order_and_axes_do_not_matter(apart) -> None:
    true, pred = locate(apart.gt).centroids, locate(apart.pred).centroids
    expected = detect(true, pred, 3.0)
    other = detect(true[::-1, ::-1], pred[:, ::-1], 3.0)
    assert (other.tp, other.mean_distance) == (expected.tp, pytest.approx(expected.mean_distance))
    assert detect(true, true, 3.0).mean_distance == 0
    assert detect(true, true + np.array([1, 0, 0]), 1.5).mean_distance == pytest.approx(1)


def test_more_than_65535_points() -> None:
    points = np.stack(np.unravel_index(np.arange(70_000), (50, 50, 28)), axis=1).astype(float)
    result = detect(points, points[:-1] + 0.2, 0.4)
    assert (result.tp, result.fp, result.fn) == (69_999, 0, 1)


@pytest.mark.parametrize("distance", [0.0, -1.0, float("nan"), float("inf")])
def test_distances_out_of_range(distance: float) -> None:
    with pytest.raises(ValueError, match="distance"):
        detect(np.zeros((1, 3)), np.zeros((1, 3)), distance)
