from dataclasses import astuple

import numpy as np
import pytest
from fastremap import renumber

from nucseg.metrics.biaflows import BiaflowsScores, biaflows_line, biaflows_scores

# FOVL and mAP from biaflows-utilities' own functions at dff7ea7, DC and AHD from NumPy and SciPy's exact distance
# transform, which agree with VISCERAL. The labels have gaps, so these are the scores of connected components.
MASKS = {
    "apart_0": (0.6225364826237401, 0.8928255983563947, 0.1956099382808397, 0.005882352941003461),
    "apart_1": (0.6515978176149649, 0.6379862484751258, 0.24243742015052278, 0.002857142857061225),
    "dense": (0.8156221341357122, 0.26006822555043796, 0.007095141647019113, 0.0),
    "fine": (0.8411425030003739, 0.5093521852957207, 0.27586837896439664, 0.08230500997758487),
    "no_background": (1.0, 0.0, 1.0, 0.0),
    "noise": (0.852359208523592, 0.1475914221637351, 0.20837962504231794, 0.0),
}
# FOVL and mAP of the same label images, numbered without gaps.
OBJECTS = {
    "apart_0": (0.4582885465705326, 0.025271739129852776),
    "apart_1": (0.5138542098877261, 0.024084833933089942),
    "dense": (0.4519547118281011, 0.031811943913149045),
    "fine": (0.7411529405323283, 0.41399368062530906),
    "no_background": (1.0, 0.0),
    "noise": (0.20978862699926512, 0.0),
}


def row(*spans: tuple[int, int, int]) -> np.ndarray:
    """A label image of one row of 30 voxels, from (start, stop, label)."""
    labels = np.zeros((1, 1, 30), np.uint16)
    for start, stop, number in spans:
        labels[..., start:stop] = number
    return labels


def test_scores_of_upstream(case) -> None:
    assert astuple(biaflows_scores(case.gt, case.pred)) == pytest.approx(MASKS[case.name], rel=1e-6, abs=1e-8)
    numbered = biaflows_scores(renumber(case.gt)[0], renumber(case.pred)[0])
    expected = (*MASKS[case.name][:2], *OBJECTS[case.name])
    assert astuple(numbered) == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_by_hand() -> None:
    # IoU 6/10 and 4/8; the third nucleus is missed and label 3 is false.
    gt = row((0, 10, 1), (10, 16, 2), (18, 20, 3))
    pred = row((0, 6, 1), (12, 18, 2), (25, 30, 3))
    scores = biaflows_scores(gt, pred)
    assert scores.dc == pytest.approx(2 * 10 / (18 + 17))
    # From 6-9 to 5, or to 12 and on; from 10 and 11 to 12; from 18 and 19 to 17. Back: 16 and 17; 25 to 29 to 19.
    there, back = [1, 2, 3, 3, 2, 1, 1, 2], [1, 1, 6, 7, 8, 9, 10]
    assert scores.ahd == pytest.approx((sum(there) / 18 + sum(back) / 17) / 2)
    assert scores.fovl == pytest.approx((6 / 10 + 4 / 6 + 0) / 3)
    # 0.6 is more than 0.50 and 0.55, and not more than 0.6; 0.5 is not more than 0.5.
    assert scores.map == pytest.approx(2 * (1 / 5) / 10)


def test_a_missing_number_makes_a_mask_of_the_image() -> None:
    touching = row((0, 5, 1), (5, 10, 2), (12, 15, 3), (20, 25, 4))
    gaps = np.where(touching == 4, 5, touching)
    assert biaflows_scores(touching, touching).fovl == biaflows_scores(touching, touching).map == 1
    # One component where the truth has two nuclei: 5 of 10 voxels.
    as_mask = biaflows_scores(touching, gaps)
    assert as_mask.fovl == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    assert as_mask.map == pytest.approx(2 / (2 + 1 + 2))
    assert (as_mask.dc, as_mask.ahd) == (1, 0)
    assert biaflows_scores(gaps, touching).fovl == pytest.approx((0.5 + 1 + 1) / 3)


def test_voxels_that_touch_at_a_corner_are_one_component() -> None:
    mask = np.zeros((2, 2, 5), np.uint8)
    mask[0, 0, 0] = mask[1, 1, 1] = 255
    assert biaflows_scores(mask, (mask > 0).astype(np.uint8)).fovl == 1
    apart = (mask > 0).astype(np.uint8)
    apart[1, 1, 1] = 2
    assert biaflows_scores(mask, apart).fovl == 0.5


def test_of_equal_common_parts_the_lowest_label_counts() -> None:
    gt = row((0, 10, 1), (20, 22, 2))
    pred = row((0, 5, 2), (5, 13, 1), (20, 22, 3))
    assert biaflows_scores(gt, pred).fovl == pytest.approx((5 / 10 + 1) / 2)
    assert biaflows_scores(gt, row((0, 5, 2), (5, 19, 1), (20, 22, 3))).fovl == pytest.approx((5 / 14 + 1) / 2)


def test_empty_images() -> None:
    full, empty = row((0, 5, 1), (7, 9, 2)), row()
    for scores in (biaflows_scores(full, empty), biaflows_scores(empty, full)):
        assert (scores.dc, scores.fovl, scores.map) == (0, 0, 0)
        assert np.isnan(scores.ahd)
        assert scores.to_dict() == {"DC": 0, "AHD": None, "FOVL": 0, "mAP": 0}
    assert biaflows_scores(empty, empty) == BiaflowsScores(1, 0, 1, 1)


def test_distances_are_in_voxels_in_all_directions() -> None:
    gt, pred = np.zeros((2, 5, 5, 5), np.uint8)
    gt[0, 0, 0], pred[3, 4, 0] = 1, 1
    assert biaflows_scores(gt, pred).ahd == pytest.approx(5)


def test_more_than_65535_nuclei() -> None:
    gt = np.zeros((70_000, 1, 4), np.uint32)
    gt[:, :, :2] = np.arange(1, 70_001)[:, None, None]
    assert astuple(biaflows_scores(gt, gt)) == (1, 0, 1, 1)


def test_line() -> None:
    assert biaflows_line("a b.tif", BiaflowsScores(1.0, 0.0, 1.0, 1.0)) == (
        "> a b.tif: [DC:1.0, AHD:0.0, FOVL:1.0, mAP:1.0]"
    )
