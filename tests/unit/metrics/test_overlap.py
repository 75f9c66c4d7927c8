from pathlib import Path

import numpy as np
import pytest

from nucseg.metrics.overlap import overlap_of_blocks, overlap_table


def test_table_equals_a_dense_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucseg.metrics.run_sums._SLAB_VOXELS", 300)
    rng = np.random.default_rng(0)
    gt, pred = rng.integers(0, 9, (7, 11, 13)), rng.integers(0, 12, (7, 11, 13)).astype(np.uint8)
    gt[gt == 4] = 0
    table = overlap_table(gt, pred)
    assert table.true_labels.tolist() == [1, 2, 3, 5, 6, 7, 8]
    assert table.pred_labels.tolist() == list(range(1, 12))
    assert table.true_sizes.tolist() == [np.count_nonzero(gt == g) for g in table.true_labels]
    assert table.pred_sizes.tolist() == [np.count_nonzero(pred == p) for p in table.pred_labels]
    found = dict(
        zip(zip(table.true_index.tolist(), table.pred_index.tolist(), strict=True), table.common.tolist(), strict=True)
    )
    for i, g in enumerate(table.true_labels):
        for j, p in enumerate(table.pred_labels):
            assert found.get((i, j), 0) == np.count_nonzero((gt == g) & (pred == p))


@pytest.mark.parametrize("shape", [(100, 40, 40), (1, 1, 160_000)])
def test_more_than_65535_objects_and_large_labels(shape: tuple[int, int, int]) -> None:
    gt = np.arange(160_000, dtype=np.uint32).reshape(shape)
    pred = np.where(gt > 0, np.uint32(2**32 - 1) - gt, 0).astype(np.uint32)
    table = overlap_table(gt, pred)
    assert len(table.true_labels) == len(table.pred_labels) == len(table.common) == 159_999
    assert (table.common == 1).all()
    assert (table.iou == 1).all()
    np.testing.assert_array_equal(table.true_labels[table.true_index] + table.pred_labels[table.pred_index], 2**32 - 1)


@pytest.mark.parametrize(("true_type", "pred_type"), [("bool", "uint16"), ("int16", "int64"), ("uint32", "int8")])
def test_types_and_orders_of_axes_do_not_matter(true_type: str, pred_type: str) -> None:
    rng = np.random.default_rng(2)
    gt, pred = rng.integers(0, 2, (5, 9, 40)).repeat(3, axis=2), rng.integers(0, 100, (5, 9, 120))
    expected = overlap_table(gt, pred)
    same = overlap_table(gt.astype(true_type), pred.astype(pred_type))
    turned = overlap_table(gt.astype(true_type).T, np.asfortranarray(pred.astype(pred_type)).T)
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(value, getattr(same, name), err_msg=name)
        np.testing.assert_array_equal(value, getattr(turned, name), err_msg=name)


@pytest.mark.parametrize("labels", ["int8", "int16", "int32", "int64"])
def test_labels_below_0_are_found_wherever_they_are(labels: str) -> None:
    gt, pred = np.ones((2, 3, 4), labels), np.ones((2, 3, 4), np.uint16)
    gt[1, 2, 3] = -1
    for pair in ((gt, pred), (pred, gt)):
        with pytest.raises(ValueError, match="between"):
            overlap_table(*pair)


def test_memory_maps_are_read_in_slabs(tmp_path: Path) -> None:
    gt = np.random.default_rng(1).integers(0, 5, (4, 6, 8)).astype(np.uint16)
    gt.tofile(tmp_path / "raw")
    table = overlap_table(np.memmap(tmp_path / "raw", np.uint16, "r", shape=gt.shape), gt)
    assert table.common.tolist() == table.true_sizes.tolist()


def test_blocks_in_any_order_give_the_same_table(case) -> None:
    whole = overlap_table(case.gt, case.pred)
    boxes = [np.s_[z : z + 5, :, x : x + 30] for z in range(0, 48, 5) for x in range(0, 128, 30)]
    blocks = overlap_of_blocks((case.gt[box], case.pred[box]) for box in reversed(boxes))
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(value, getattr(blocks, name), err_msg=name)
    assert whole.voxels == case.gt.size


def test_no_blocks() -> None:
    table = overlap_of_blocks([])
    assert len(table.true_labels) == len(table.common) == table.voxels == 0


def test_what_cannot_be_compared() -> None:
    labels = np.ones((2, 3, 4), np.int32)
    with pytest.raises(ValueError, match="shapes"):
        overlap_table(labels, labels[:1])
    with pytest.raises(ValueError, match="integers"):
        overlap_table(labels.astype(float), labels)
    with pytest.raises(ValueError, match="between"):
        overlap_table(-labels, labels)
