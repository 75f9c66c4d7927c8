import numpy as np
import pytest

from nucseg.metrics.mistakes import Mistakes, mistakes
from nucseg.metrics.overlap import overlap_table


def found(gt: np.ndarray, pred: np.ndarray) -> Mistakes:
    return mistakes(overlap_table(gt, pred))


def row(*runs: tuple[int, int]) -> np.ndarray:
    """A row of runs: (length, label)."""
    return np.repeat([label for _, label in runs], [length for length, _ in runs])[None, None]


def test_each_mistake_with_its_labels() -> None:
    gt = row((10, 1), (4, 2), (6, 5), (3, 8), (9, 9), (9, 0))
    pred = row((4, 30), (6, 31), (10, 32), (3, 0), (9, 33), (2, 34), (7, 35))
    result = found(gt, pred)
    assert result.splits == {1: (31, 30)}
    assert result.merges == {32: (5, 2)}
    assert result.missed == (8,)
    assert result.spurious == (35, 34)
    assert result.count_error == 1


def test_the_largest_come_first() -> None:
    gt = row((4, 1), (8, 2), (2, 0))
    pred = row((2, 1), (2, 2), (4, 3), (4, 4), (2, 0))
    assert list(found(gt, pred).splits) == [2, 1]
    assert list(found(pred, gt).merges) == [2, 1]


def test_many_pieces_and_large_clumps_are_no_misses() -> None:
    whole, pieces = row((100, 1)), row(*((5, label) for label in range(1, 21)))
    assert found(whole, pieces) == Mistakes({1: tuple(range(1, 21))}, {}, (), (), 19)
    assert found(pieces, whole) == Mistakes({}, {1: tuple(range(1, 21))}, (), (), -19)
    by_iou = mistakes(overlap_table(pieces, whole), 0.1, "union")
    assert by_iou == Mistakes({}, {}, tuple(range(1, 21)), (1,), -19)


def test_exactly_the_share_is_not_enough() -> None:
    gt, pred = row((4, 1), (4, 0)), row((2, 0), (4, 1), (2, 0))
    assert (found(gt, pred).missed, found(gt, pred).spurious) == ((1,), (1,))
    assert found(gt, row((1, 0), (4, 1), (3, 0))).missed == ()


def test_counts_of_another_program(case) -> None:
    result = mistakes(overlap_table(case.gt, case.pred), 0.1, "union")
    assert len(result.splits) == case.expected["caicedo"]["splits"]
    assert len(result.merges) == case.expected["caicedo"]["merges"]


def test_empty_sides() -> None:
    empty, full = row((9, 0)), row((3, 7), (6, 2))
    assert found(empty, empty) == Mistakes({}, {}, (), (), 0)
    assert found(full, empty) == Mistakes({}, {}, (2, 7), (), -2)
    assert found(empty, full) == Mistakes({}, {}, (), (2, 7), 2)


def test_identity_has_none(case, relabelled) -> None:
    assert found(case.gt, relabelled(case.gt)) == Mistakes({}, {}, (), (), 0)


def test_exchanged_sides_exchange_the_lists(case) -> None:
    there, back = found(case.gt, case.pred), found(case.pred, case.gt)
    assert there == Mistakes(back.merges, back.splits, back.spurious, back.missed, -back.count_error)


def test_a_shift_by_one_voxel_is_no_mistake(fine) -> None:
    result = found(fine.gt, np.roll(fine.gt, 1, axis=1))
    assert result.splits == result.merges == {}
    assert result.count_error == 0


@pytest.mark.parametrize("objects", [300, 70_000])
def test_many_objects(objects: int) -> None:
    halves = np.repeat(np.arange(1, 2 * objects + 1, dtype=np.uint32), 3).reshape(1, 1, -1)
    result = found((halves + 1) // 2, halves)
    assert len(result.splits) == objects
    assert result.splits[objects] == (2 * objects - 1, 2 * objects)


def test_shares_out_of_range() -> None:
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match="share"):
            mistakes(overlap_table(row((1, 1)), row((1, 1))), share)
