from dataclasses import astuple

import numpy as np
import pytest

from nucseg.metrics.boundary import mean_distance, surface_distance, surface_distances
from nucseg.metrics.matching import Pairs, matched_pairs
from nucseg.metrics.overlap import overlap_table

NAMES = ("hausdorff", "hausdorff95", "average_hausdorff", "assd", "nsd")


@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_pairs_of_the_reference(fine, fine_pairs, voxel_size: tuple[float, float, float]) -> None:
    expected = [pair for pair in fine_pairs if tuple(pair["voxel_size"]) == voxel_size]
    pairs = Pairs(*(np.array([pair[side] for pair in expected]) for side in ("true", "pred")), np.ones(len(expected)))
    results = surface_distances(fine.gt, fine.pred, pairs, voxel_size, 1.0)
    assert len(results) == len(expected) == 6
    for ours, theirs in zip(results, expected, strict=True):
        for name in NAMES:
            assert getattr(ours, name) == pytest.approx(theirs[name], rel=1e-5), name
        assert ours.hausdorff95 >= theirs["medpy_hausdorff95"] - 1e-5


@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_foregrounds_of_other_programs(apart, voxel_size: tuple[float, float, float]) -> None:
    expected = apart.expected["foreground"][",".join(f"{edge:g}" for edge in voxel_size)]
    result = surface_distance(apart.gt > 0, apart.pred > 0, voxel_size, 1.0)
    assert astuple(result) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("axis", range(3))
def test_a_shift_by_one_voxel(axis: int) -> None:
    box = np.zeros((12, 12, 12), bool)
    box[3:8, 3:8, 3:8] = True
    voxel_size = (2.0, 0.5, 0.3)
    result = surface_distance(box, np.roll(box, 1, axis), voxel_size, voxel_size[axis])
    assert result.hausdorff == result.hausdorff95 == pytest.approx(voxel_size[axis])
    assert result.nsd == 1
    assert result.average_hausdorff == pytest.approx(voxel_size[axis] / 5)
    assert 0 < result.assd < voxel_size[axis]
    assert surface_distance(box, np.roll(box, 1, axis), voxel_size, 0.9 * voxel_size[axis]).nsd < 1


def test_the_edge_of_the_image_is_a_surface() -> None:
    full, half = np.ones((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    half[2:] = False
    assert surface_distance(full, half, (1, 1, 1), 1).hausdorff == 2


def test_identity_transposition_and_exchange(apart) -> None:
    gt, pred = apart.gt > 0, apart.pred > 0
    assert astuple(surface_distance(gt, gt, (2, 1, 1), 0.0)) == (0, 0, 0, 0, 1)
    expected = pytest.approx(astuple(surface_distance(gt, pred, (2, 1, 0.5), 1.0)), rel=1e-5)
    assert astuple(surface_distance(gt.T, pred.T, (0.5, 1, 2), 1.0)) == expected
    assert astuple(surface_distance(pred, gt, (2, 1, 0.5), 1.0)) == expected


def test_labels_and_crops_do_not_matter(apart, relabelled) -> None:
    gt, pred = relabelled(apart.gt), relabelled(apart.pred, 1)
    pairs = matched_pairs(overlap_table(apart.gt, apart.pred), 0.4)
    expected = surface_distances(apart.gt, apart.pred, pairs, (2, 1, 1), 1.0)
    whole = [surface_distance(apart.gt == i, apart.pred == j, (2, 1, 1), 1.0) for i, j, _ in zip(*pairs, strict=True)]
    np.testing.assert_allclose([*map(astuple, expected)], [*map(astuple, whole)], rtol=1e-6)
    other = surface_distances(gt, pred, matched_pairs(overlap_table(gt, pred), 0.4), (2, 1, 1), 1.0)
    assert sorted(map(astuple, other)) == sorted(map(astuple, expected))
    assert astuple(mean_distance(other)) == pytest.approx(np.mean([astuple(one) for one in expected], axis=0))


def test_objects_of_one_voxel_and_far_labels() -> None:
    gt = np.zeros((4, 4, 300), np.uint32)
    gt[1, 1] = np.arange(300) + 70_000
    pred = np.where(gt > 0, gt, 0)
    results = surface_distances(gt, pred, matched_pairs(overlap_table(gt, pred)), (1, 1, 1), 1.0)
    assert len(results) == 300
    assert {astuple(one) for one in results} == {(0, 0, 0, 0, 1)}


def test_no_pairs_and_empty_masks() -> None:
    empty = np.zeros((3, 3, 3), np.uint8)
    assert surface_distances(empty, empty, matched_pairs(overlap_table(empty, empty)), (1, 1, 1), 1.0) == []
    assert np.isnan(astuple(mean_distance([]))).all()
    with pytest.raises(ValueError, match="empty"):
        surface_distance(empty > 0, empty == 0, (1, 1, 1), 1.0)
    with pytest.raises(ValueError, match="shapes"):
        surface_distance(empty == 0, empty[1:] == 0, (1, 1, 1), 1.0)
