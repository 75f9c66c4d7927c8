"""Label images as methods return them."""

import numpy as np
import pytest

from nucseg.errors import NucsegError
from nucseg.labels import Segmented, checked, checked_labels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64])
def test_gaps_are_closed_in_order(dtype):
    labels = np.zeros((3, 20, 20), dtype)
    labels[0, 0, :3] = [200, 7, 9]
    labels[2, 5, 5] = 7
    found = checked_labels(labels, labels.shape)
    assert found.dtype == dtype
    assert found[0, 0, :4].tolist() == [3, 1, 2, 0]
    assert found[2, 5, 5] == 1
    assert np.count_nonzero(found) == 4


def test_past_65535():
    labels = np.arange(1, 2 * 70_000, 2, dtype=np.uint32).reshape(2, 100, 350) % 140_001
    labels = np.concatenate([labels, np.zeros_like(labels), np.zeros_like(labels)])
    found = checked_labels(labels, labels.shape)
    assert found.max() == 70_000
    assert np.array_equal(found[:2].ravel(), np.arange(1, 70_001))


def test_consecutive_ones_are_not_copied():
    labels = np.array([[[0, 1, 2]]])
    assert checked_labels(labels, (1, 1, 3)) is labels
    nothing = np.zeros((2, 2, 2), np.uint8)
    assert checked_labels(nothing, (2, 2, 2)) is nothing


def test_what_a_method_knows_of_the_nuclei_is_kept():
    labels = np.array([[[0, 7, 3]]])
    found = checked(Segmented(labels, {"probability": np.array([0.5, 0.9])}), labels.shape)
    assert found.labels.tolist() == [[[0, 2, 1]]]
    assert found.columns["probability"].tolist() == [0.5, 0.9]
    assert checked(np.array([[[4]]]), (1, 1, 1)).columns == {}


def test_no_background():
    assert checked_labels(np.array([[[5, 5, 3, 5, 5]]]), (1, 1, 5)).tolist() == [[[2, 2, 1, 2, 2]]]


@pytest.mark.parametrize(
    "labels",
    [np.zeros((1, 2, 3), int), np.zeros((2, 2, 2), float), np.full((2, 2, 2), -1), np.full((2, 2, 2), 1 << 30)],
)
def test_what_is_no_label_image(labels):
    with pytest.raises(NucsegError, match="the method returned"):
        checked_labels(labels, (2, 2, 2))
