"""Groups, consensus, agreement and ranking on small volumes whose nuclei are known."""

from pathlib import Path

import numpy as np
import pytest

from nucseg.comparison.agreement import against_truth, agreement
from nucseg.comparison.consensus import draw_consensus
from nucseg.comparison.disagreement import worst_regions
from nucseg.comparison.groups import group_objects, overlap_tables
from nucseg.comparison.ranking import Found, bootstrap, f1_of, rank
from nucseg.formats import write_labels
from nucseg.formats.label_file import LabelFile, open_labels
from nucseg.metrics.matching import match
from nucseg.metrics.overlap import overlap_table

SHAPE = (20, 40, 120)


def volume(nuclei: list[int], shift: int = 0) -> np.ndarray:
    """Cubes of 8 voxels; nucleus n stands at X = 12 n, moved by `shift`. Labels are numbered from 1."""
    labels = np.zeros(SHAPE, np.uint16)
    for label, n in enumerate(nuclei, 1):
        labels[6:14, 10:18, 12 * n + 2 + shift : 12 * n + 10 + shift] = label
    return labels


def files(folder: Path, *volumes: np.ndarray) -> list[LabelFile]:
    found = []
    for number, labels in enumerate(volumes):
        write_labels(folder / f"{number}.tif", labels, (1.0, 1.0, 1.0))
        found.append(open_labels(folder / f"{number}.tif"))
    return found


def test_a_nucleus_is_one_group_whatever_its_labels(tmp_path: Path) -> None:
    three = files(tmp_path, volume([0, 1, 2]), volume([2, 1, 0], shift=1), volume([1, 5]))

    groups = group_objects(overlap_tables(three), 3)

    assert sorted(groups.labels.tolist()) == sorted([[1, 3, 0], [2, 2, 1], [3, 1, 0], [0, 0, 2]])
    assert groups.support.tolist() == [3, 2, 2, 1]
    assert groups.iou[-1] == 0
    assert groups.iou[1] == pytest.approx(7 / 9)


def test_every_object_is_in_exactly_one_group(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noisy = [np.unique(rng.integers(0, 4, (3, 9, 9)), return_inverse=True)[1].reshape(3, 9, 9) for _ in range(4)]
    four = files(tmp_path, *(each.astype(np.uint16) for each in noisy))

    groups = group_objects(overlap_tables(four), 4)

    for column, labels in zip(groups.labels.T, noisy, strict=True):
        assert sorted(column[column > 0]) == [label for label in np.unique(labels) if label]


def test_the_consensus_holds_what_the_majority_has_where_it_has_it(tmp_path: Path) -> None:
    three = files(tmp_path, volume([0, 1]), volume([0, 1, 4], shift=1), volume([1, 0, 7]))

    drawn = draw_consensus(three, group_objects(overlap_tables(three), 3))

    # Two of three methods put the nuclei at the place that is not shifted.
    assert np.array_equal(drawn.labels > 0, volume([0, 1]) > 0)
    assert sorted(np.unique(drawn.labels)) == [0, 1, 2]
    assert len(drawn.group) == 2
    assert drawn.centres[:2, 2].min() == pytest.approx(5.5 + 1 / 3)


def test_a_voxel_goes_to_the_nucleus_that_has_its_majority_in_whatever_order(tmp_path: Path) -> None:
    """Two of the five that have A put the voxel in it, which is too few; two of the three that have B put it in B."""

    def labels(a: int, b: int) -> np.ndarray:
        drawn = np.zeros((2, 2, 30), np.uint16)
        drawn[..., :a] = 1
        drawn[..., b:20] = 2
        return drawn

    with_a, with_b, with_neither = labels(11, 20), labels(10, 10), labels(10, 11)
    for volumes in ([with_a, with_a, with_b, with_b, with_neither], [with_b, with_neither, with_b, with_a, with_a]):
        five = files(tmp_path, *volumes)
        drawn = draw_consensus(five, group_objects(overlap_tables(five), 5)).labels
        assert len(np.unique(drawn)) == 3
        assert np.all(drawn[..., 10:20] == drawn[0, 0, 19])


def test_slabs_give_the_consensus_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three = files(tmp_path, volume([0, 1, 3]), volume([0, 1, 4], shift=1), volume([1, 0, 7], shift=2))
    whole = draw_consensus(three, group_objects(overlap_tables(three), 3))

    monkeypatch.setattr("nucseg.formats.label_file._SLAB_VOXELS", 40 * 120 * 3)
    slabs = draw_consensus(three, group_objects(overlap_tables(three), 3))

    assert [len(slab) for slab in three[0].slabs()] == [3] * 6 + [2]
    assert np.array_equal(slabs.labels, whole.labels)
    assert np.allclose(slabs.centres, whole.centres)


def test_more_than_65535_nuclei(tmp_path: Path) -> None:
    labels = np.arange(1, 70_001, dtype=np.uint32).reshape(7, 100, 100)
    two = files(tmp_path, labels, labels[::-1].copy()[::-1])

    drawn = draw_consensus(two, group_objects(overlap_tables(two), 2))

    assert np.array_equal(np.unique(drawn.labels), np.arange(1, 70_001))


def test_two_methods_make_a_majority_only_together(tmp_path: Path) -> None:
    two = files(tmp_path, volume([0, 1]), volume([1, 2]))

    drawn = draw_consensus(two, group_objects(overlap_tables(two), 2))

    assert np.array_equal(drawn.labels > 0, volume([1]) > 0)


def test_the_outlier_agrees_least(tmp_path: Path) -> None:
    three = files(tmp_path, volume([0, 1, 2, 3]), volume([0, 1, 2, 4]), volume([6, 7]))

    result = agreement(["a", "b", "c"], [overlap_tables(three)], np.random.default_rng(0))

    assert np.allclose(result.matrix, [[1, 0.75, 0], [0.75, 1, 0], [0, 0, 1]])
    assert {row.method for row in result.ranks[:2]} == {"a", "b"}
    assert result.ranks[-1].method == "c"
    assert result.ranks[-1].best_probability == 0


def test_scores_against_the_truth_are_those_of_the_metrics(tmp_path: Path) -> None:
    truth, a, b = volume([0, 1, 2, 3]), volume([0, 1, 2, 5], shift=1), volume([0, 1])

    found = against_truth([overlap_table(truth, each) for each in (a, b)])

    assert f1_of(found).tolist() == pytest.approx([match(truth, each)[0].f1 for each in (a, b)])


def test_the_bootstrap_is_centred_and_as_wide_as_it_should_be() -> None:
    rng = np.random.default_rng(1)
    matched = rng.random((400, 2)) < [0.8, 0.6]
    found = Found(matched, np.array([40, 40]))

    drawn = bootstrap([found], rng)

    # Drawing the nuclei one by one, as the definition says.
    by_hand = []
    for _ in range(2000):
        again = matched[rng.integers(400, size=400)]
        by_hand.append(f1_of(Found(again, np.array([40, 40]))))
    assert np.allclose(drawn.mean(axis=0), f1_of(found), atol=0.005)
    assert np.all(drawn.std(axis=0) >= np.std(by_hand, axis=0))
    assert np.all(drawn.std(axis=0) < 1.5 * np.std(by_hand, axis=0))


def test_a_clear_winner_is_certain_and_equals_share() -> None:
    rng = np.random.default_rng(2)
    hits = np.ones((100, 1), bool)
    found = Found(np.hstack([hits, hits, hits & (np.arange(100) < 50)[:, None]]), np.zeros(3, np.int64))

    rows = rank(["a", "b", "c"], f1_of(found).tolist(), bootstrap([found] * 2, rng))

    assert [row.best_probability for row in rows] == [0.5, 0.5, 0.0]
    assert rows[2].low < rows[2].mean < rows[2].high


def test_nothing_to_find_and_nothing_found_is_perfect() -> None:
    nothing = Found(np.empty((0, 2), bool), np.array([0, 3]))
    assert f1_of(nothing).tolist() == [1, 0]
    assert bootstrap([nothing], np.random.default_rng(0), 5).tolist() == [[1, 0]] * 5


def test_the_worst_region_is_where_methods_differ(tmp_path: Path) -> None:
    three = files(tmp_path, volume([0, 1, 8, 9]), volume([0, 1]), volume([0, 1]))
    groups = group_objects(overlap_tables(three), 3)

    regions = worst_regions(groups, draw_consensus(three, groups), SHAPE, None)

    assert regions[0].counts == [2, 0, 0]
    assert regions[0].box[2][0] > 12 * 6
    assert regions[0].score == pytest.approx(2 / 3)
    assert len(regions) == 1


def test_no_region_where_all_agree(tmp_path: Path) -> None:
    two = files(tmp_path, volume([0, 1]), volume([0, 1]))
    groups = group_objects(overlap_tables(two), 2)
    assert worst_regions(groups, draw_consensus(two, groups), SHAPE, None) == []


def test_boxes_are_cubes_in_micrometres(tmp_path: Path) -> None:
    two = files(tmp_path, volume([5]), volume([]))
    groups = group_objects(overlap_tables(two), 2)

    (region,) = worst_regions(groups, draw_consensus(two, groups), SHAPE, (4.0, 1.0, 1.0))

    z, y, x = (stop - first for first, stop in region.box)
    assert x == pytest.approx(4 * z, abs=4)
    assert y <= x
