import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label
from scipy.optimize import linear_sum_assignment
from stardist.matching import matching as stardist_matching

from nucseg.metrics.matching import Matching, best_pairs, match, matched_pairs
from nucseg.metrics.overlap import overlap_table

NAMES = {
    "tp": "tp",
    "fp": "fp",
    "fn": "fn",
    "n_true": "n_true",
    "n_pred": "n_pred",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1",
    "accuracy": "average_precision",
    "mean_matched_score": "mean_matched_iou",
    "mean_true_score": "mean_true_iou",
    "panoptic_quality": "panoptic_quality",
}


def row(*spans: tuple[int, int, int]) -> np.ndarray:
    """A label image of one row of 30 voxels, from (start, stop, label)."""
    labels = np.zeros((1, 1, 30), np.uint16)
    for start, stop, number in spans:
        labels[..., start:stop] = number
    return labels


def one(gt: np.ndarray, pred: np.ndarray, threshold: float = 0.5) -> Matching:
    (result,) = match(gt, pred, [threshold])
    return result


def test_by_hand() -> None:
    # IoU 6/10 and 4/8; the third nucleus is missed and label 9 is false.
    gt = row((0, 10, 1), (10, 16, 2), (18, 20, 3))
    pred = row((0, 6, 5), (12, 18, 7), (25, 30, 9))
    result = one(gt, pred)
    assert (result.tp, result.fp, result.fn, result.n_true, result.n_pred) == (2, 1, 1, 3, 3)
    assert result.precision == result.recall == result.f1 == pytest.approx(2 / 3)
    assert result.average_precision == pytest.approx(2 / 4)
    assert result.mean_matched_iou == pytest.approx((0.6 + 0.5) / 2)
    assert result.mean_true_iou == result.panoptic_quality == pytest.approx((0.6 + 0.5) / 3)


@pytest.mark.parametrize("voxels", [5, 6, 7, 8, 9])
def test_an_iou_of_exactly_the_threshold_is_a_match(voxels: int) -> None:
    gt, pred = row((0, 10, 1)), row((0, voxels, 1))
    assert one(gt, pred, voxels / 10).tp == 1
    assert one(gt, pred, np.arange(0.5, 1, 0.1)[voxels - 5]).tp == 1
    assert one(gt, pred, voxels / 10 + 0.01).tp == 0


def test_two_halves_of_iou_one_half_are_one_match() -> None:
    whole, halves = row((0, 10, 1)), row((0, 5, 1), (5, 10, 2))
    assert (one(whole, halves).tp, one(whole, halves).fp) == (1, 1)
    assert (one(halves, whole).tp, one(halves, whole).fn) == (1, 1)


def test_as_many_pairs_as_possible_are_matched_at_low_thresholds() -> None:
    # The pair of largest IoU would take the partner of both others.
    gt, pred = np.zeros((2, 1, 1, 2, 10), np.uint8)
    gt[0, 0, 0], gt[0, 0, 1] = 1, 2
    pred[0, 0, 0, :4] = pred[0, 0, 1, :3] = 1
    pred[0, 0, 0, 4:7] = 2
    assert one(gt, pred, 0.2).tp == 2
    assert one(gt, pred, 0.2).mean_matched_iou == pytest.approx((3 / 14 + 3 / 10) / 2)
    assert one(gt, pred, 0.3).tp == 1


@pytest.mark.parametrize("pairs", [1, 12, 40, 120])
def test_groups_apart_are_matched_as_well_as_all_at_once(pairs: int) -> None:
    rng = np.random.default_rng(pairs)
    for _ in range(50):
        true, pred = np.unravel_index(rng.choice(30 * 40, pairs, replace=False), (30, 40))
        score = rng.random(pairs)
        gain = np.zeros((30, 40))
        gain[true, pred] = 1 + score / 100
        chosen = best_pairs(true, pred, score)
        assert len(set(true[chosen].tolist())) == len(set(pred[chosen].tolist())) == len(chosen)
        most = gain[linear_sum_assignment(gain, maximize=True)].sum()
        assert gain[true[chosen], pred[chosen]].sum() == pytest.approx(most)


def test_labels_and_their_gaps_do_not_matter() -> None:
    gt, pred = row((0, 10, 1), (10, 20, 2)), row((0, 9, 60_000), (10, 19, 3))
    assert one(gt, pred, 0.9) == one(gt, row((0, 9, 1), (10, 19, 2)), 0.9)


def test_nothing_to_find_and_nothing_found_is_perfect() -> None:
    result = one(row(), row())
    assert (result.tp, result.fp, result.fn) == (0, 0, 0)
    assert result.f1 == result.average_precision == result.mean_matched_iou == result.panoptic_quality == 1


@pytest.mark.parametrize("gt_has_them", [True, False])
def test_one_side_without_objects_scores_zero(gt_has_them: bool) -> None:
    full = row((0, 5, 1), (5, 9, 2))
    result = one(full, row()) if gt_has_them else one(row(), full)
    assert (result.tp, result.fp, result.fn) == ((0, 0, 2) if gt_has_them else (0, 2, 0))
    assert result.precision == result.recall == result.f1 == result.average_precision == 0
    assert result.mean_matched_iou == result.panoptic_quality == 0


def blobs(rng: np.random.Generator) -> np.ndarray:
    smooth = rng.random((12, 24, 24)) > 0.985
    return label(binary_dilation(smooth, iterations=2))[0]


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_those_of_stardist(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gt = blobs(rng)
    pred = np.roll(gt, rng.integers(-1, 2, 3), (0, 1, 2))
    pred[rng.random(gt.shape) > 0.9] = 0
    pred[pred == 2] = 3
    extra = blobs(rng)
    pred = np.where(pred == 0, (extra > 0) * (extra + 1000), pred)
    thresholds = [0.1, 0.2, 0.3, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9]
    for ours, theirs in zip(match(gt, pred, thresholds), stardist_matching(gt, pred, thresholds), strict=True):
        for theirs_name, our_name in NAMES.items():
            assert getattr(ours, our_name) == pytest.approx(getattr(theirs, theirs_name), abs=1e-6), our_name


def test_scores_of_the_reference(case) -> None:
    thresholds = [float(threshold) for threshold in case.expected["stardist_pq"]]
    results = match(case.gt, case.pred, thresholds)
    assert [r.panoptic_quality for r in results] == pytest.approx(list(case.expected["stardist_pq"].values()))
    assert [r.average_precision for r in results] == pytest.approx(list(case.expected["stardist_accuracy"].values()))


def test_labels_of_the_matched_pairs(case) -> None:
    for threshold in (0.1, 0.5):
        pairs = matched_pairs(overlap_table(case.gt, case.pred), threshold)
        assert len(pairs.true) == match(case.gt, case.pred, [threshold])[0].tp
        assert len(set(pairs.true.tolist())) == len(set(pairs.pred.tolist())) == len(pairs.true)
        for i, j, iou in zip(*pairs, strict=True):
            a, b = case.gt == i, case.pred == j
            assert iou == pytest.approx((a & b).sum() / (a | b).sum())


def test_more_than_65535_objects() -> None:
    gt = np.repeat(np.arange(70_001, dtype=np.uint32), 4).reshape(1, 1, -1)
    pred = gt.copy()
    pred[..., 1::4] = 0  # IoU 3/4 everywhere
    pred[pred == 7] = 0
    result = one(gt, pred, 0.7)
    assert (result.tp, result.fp, result.fn) == (69_999, 0, 1)
    assert result.mean_matched_iou == pytest.approx(0.75)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_thresholds_out_of_range(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        one(row((0, 3, 1)), row((0, 3, 1)), threshold)
