from dataclasses import astuple

import numpy as np
import pytest

from nucseg.metrics.overlap import overlap_table
from nucseg.metrics.segmentation import SegmentationScores, mean_average_precision, segmentation_scores

PERFECT = SegmentationScores(1, 1, 1, 1, 1, 0, 1, 1, 0, 0)


def scores(gt: np.ndarray, pred: np.ndarray) -> SegmentationScores:
    return segmentation_scores(overlap_table(gt, pred))


def row(*numbers: int) -> np.ndarray:
    """A row of runs of five voxels and five of background."""
    return np.repeat(np.array([*numbers, 0], np.uint8), 5)[None, None]


def test_scores_of_other_programs(case) -> None:
    ours, expected = scores(case.gt, case.pred), case.expected
    if case.name != "no_background":  # both programs lose a label there
        assert ours.seg == pytest.approx(expected["ctcmetrics_seg"])
        # QCANet's evaluator loses labels where nuclei fill their boxes.
        assert ours.seg == pytest.approx(expected["qcanet"]["SEG"], abs=3e-4 if case.name == "dense" else 1e-9)
        assert ours.mucov == pytest.approx(expected["qcanet"]["MUCov"])
    assert ours.iou == pytest.approx(expected["qcanet"]["IoU"])
    if expected["hovernet"]:
        assert ours.aji == pytest.approx(expected["hovernet"]["aji"])
        assert ours.dice == pytest.approx(expected["hovernet"]["dice1"])
    error, recall, precision = expected["skimage_rand"]
    assert ours.adapted_rand_error == pytest.approx(error)
    assert (ours.adapted_rand_precision, ours.adapted_rand_recall) == pytest.approx((precision, recall))
    assert (ours.voi_split, ours.voi_merge) == pytest.approx(expected["skimage_voi"])


def test_mean_average_precision_is_that_of_stardist(case) -> None:
    accuracy = [value for threshold, value in case.expected["stardist_accuracy"].items() if float(threshold) >= 0.5]
    assert len(accuracy) == 10
    assert mean_average_precision(overlap_table(case.gt, case.pred)) == pytest.approx(np.mean(accuracy))


def test_a_split_and_a_merge_of_equal_halves() -> None:
    whole, halves = row(1, 1), row(3, 8)
    split, merge = scores(whole, halves), scores(halves, whole)
    # Half of a nucleus is not more than half of it.
    assert (split.seg, split.mucov, split.aji) == (0, 0, pytest.approx(1 / 3))
    assert (merge.seg, merge.mucov, merge.aji) == (0.5, 0.5, 0.5)
    assert split.iou == split.dice == merge.iou == merge.dice == 1
    assert (split.voi_split, split.voi_merge, merge.voi_split, merge.voi_merge) == (1, 0, 0, 1)
    assert (split.adapted_rand_precision, split.adapted_rand_recall) == (1, pytest.approx(4 / 9))
    assert (merge.adapted_rand_precision, merge.adapted_rand_recall) == (pytest.approx(4 / 9), 1)


def test_mucov_takes_the_best_iou_of_what_covers_a_nucleus() -> None:
    gt, pred = row(1, 2, 2, 2), row(7, 7, 7, 0)
    assert scores(gt, pred).mucov == pytest.approx(10 / 20)
    assert scores(gt, pred).seg == pytest.approx((5 / 15 + 10 / 20) / 2)


def test_nothing_to_find_and_nothing_found_is_perfect() -> None:
    assert scores(row(0), row(0)) == PERFECT


def test_nothing_found() -> None:
    result = scores(row(1, 2), row(0, 0))
    assert result.seg == result.mucov == result.iou == result.dice == result.aji == 0
    # To scikit-image all that was missed is one object.
    assert result.adapted_rand_error == pytest.approx(0.3846153846153846)
    assert (result.voi_split, result.voi_merge) == (0, 1)


def test_nothing_to_find() -> None:
    result = scores(row(0, 0), row(1, 2))
    assert result.seg == result.mucov == result.iou == result.dice == result.aji == 0
    assert result.adapted_rand_error == 1
    assert np.isnan([result.voi_split, result.voi_merge]).all()


def test_identity(case, relabelled) -> None:
    assert astuple(scores(case.gt, relabelled(case.gt))) == pytest.approx(astuple(PERFECT), abs=1e-12)


def test_labels_and_axes_do_not_matter(case, relabelled) -> None:
    expected = astuple(scores(case.gt, case.pred))
    assert astuple(scores(relabelled(case.gt), relabelled(case.pred, 1))) == pytest.approx(expected)
    assert astuple(scores(case.gt.T, case.pred.T)) == pytest.approx(expected)


def test_exchanged_sides_exchange_splits_and_merges() -> None:
    gt, pred = row(1, 1, 2, 3), row(5, 6, 7, 7)
    there, back = scores(gt, pred), scores(pred, gt)
    assert (there.voi_split, there.voi_merge) == (back.voi_merge, back.voi_split)
    assert there.adapted_rand_precision == pytest.approx(back.adapted_rand_recall)
    assert there.dice == back.dice


def test_a_shift_by_one_voxel_lowers_every_score(apart) -> None:
    shifted = scores(apart.gt, np.roll(apart.gt, 1, axis=2))
    for name in ("seg", "mucov", "iou", "dice", "aji", "adapted_rand_precision", "adapted_rand_recall"):
        assert 0.3 < getattr(shifted, name) < 1, name
    assert shifted.voi_split > 0
    assert shifted.voi_merge > 0


@pytest.mark.parametrize("objects", [300, 70_000])
def test_many_objects(objects: int) -> None:
    gt = np.repeat(np.arange(objects + 1, dtype=np.uint32), 4).reshape(1, 1, -1)
    pred = gt.copy()
    pred[..., ::4] = 0
    result = scores(gt, pred)
    assert result.seg == result.mucov == result.iou == result.aji == pytest.approx(0.75)
    assert result.dice == pytest.approx(6 / 7)
