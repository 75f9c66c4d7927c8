import json
from dataclasses import astuple

import numpy as np
import pytest

from nucseg.metrics.boundary import mean_distance, surface_distances
from nucseg.metrics.evaluation import THRESHOLDS, evaluate, nucleus_scores
from nucseg.metrics.matching import match, matched_pairs
from nucseg.metrics.mistakes import mistakes
from nucseg.metrics.overlap import overlap_table
from nucseg.metrics.segmentation import mean_average_precision, segmentation_scores
from nucseg.metrics.shape import shape_errors

VOXEL_SIZE = (2.0, 1.0, 0.5)


def test_everything_is_what_its_own_module_says(fine) -> None:
    table = overlap_table(fine.gt, fine.pred)
    pairs = matched_pairs(table, 0.6)
    result = evaluate(fine.gt, fine.pred, VOXEL_SIZE, [0.3, 0.7], matched_at=0.6, tolerance=1.5)
    assert list(result.matching) == match(fine.gt, fine.pred, [0.3, 0.7])
    assert result.segmentation == segmentation_scores(table)
    assert result.mean_average_precision == mean_average_precision(table)
    assert result.mistakes == mistakes(table)
    assert result.count_error == len(table.pred_labels) - len(table.true_labels)
    assert result.boundary == mean_distance(surface_distances(fine.gt, fine.pred, pairs, VOXEL_SIZE, 1.5))
    errors = np.array([astuple(error) for error in shape_errors(fine.gt, fine.pred, pairs, VOXEL_SIZE)])
    assert len(errors) > 1
    assert astuple(result.shape_bias) == pytest.approx(errors.mean(axis=0))
    assert astuple(result.shape_error) == pytest.approx(np.abs(errors).mean(axis=0))


def test_as_json(apart) -> None:
    result = evaluate(apart.gt, apart.pred, VOXEL_SIZE)
    plain = result.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert [one["threshold"] for one in plain["matching"]] == list(THRESHOLDS)
    assert plain["mistakes"] == {
        "splits": len(result.mistakes.splits),
        "merges": len(result.mistakes.merges),
        "missed": len(result.mistakes.missed),
        "spurious": len(result.mistakes.spurious),
    }
    assert plain["tolerance"] == 2.0
    assert len(plain["nuclei"]["true"]) == len(plain["nuclei"]["iou"]) == plain["matching"][0]["n_true"]


def test_without_matched_nuclei_there_are_no_distances(apart) -> None:
    plain = evaluate(apart.gt, np.zeros_like(apart.gt), VOXEL_SIZE, [0.5]).to_dict()
    assert json.dumps(plain, allow_nan=False)
    assert set(plain["boundary"].values()) == set(plain["shape_bias"].values()) == {None}
    assert plain["matching"][0]["f1"] == 0
    assert plain["count_error"] == -plain["mistakes"]["missed"] < 0
    assert set(plain["nuclei"]["iou"]) == {0}


def test_best_partner_of_each_true_nucleus(case) -> None:
    scores = nucleus_scores(overlap_table(case.gt, case.pred))
    assert scores.true.tolist() == np.unique(case.gt[case.gt > 0]).tolist()
    for true, iou, pred in list(zip(*scores, strict=True))[:40]:
        here = case.gt == true
        partners = {
            int(p): np.count_nonzero(here & (case.pred == p)) / np.count_nonzero(here | (case.pred == p))
            for p in np.unique(case.pred[here])
            if p
        }
        assert iou == pytest.approx(max(partners.values(), default=0))
        assert pred == min((p for p, value in partners.items() if value == max(partners.values())), default=0)


def test_recall_follows_from_the_best_partners_above_one_half(case) -> None:
    table = overlap_table(case.gt, case.pred)
    scores = nucleus_scores(table)
    for threshold in (0.55, 0.75, 0.9):
        assert np.count_nonzero(scores.iou >= np.float32(threshold)) == len(matched_pairs(table, threshold).true)
