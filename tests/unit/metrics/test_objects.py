from pathlib import Path

import numpy as np
import pytest

from nucseg.metrics.objects import locate


def test_sizes_centroids_and_boxes(apart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucseg.metrics.run_sums._SLAB_VOXELS", 3 * 64 * 64 + 5)
    objects = locate(apart.pred)
    assert objects.labels.tolist() == np.unique(apart.pred)[1:].tolist()
    for k, label in enumerate(objects.labels):
        voxels = np.argwhere(apart.pred == label)
        assert objects.sizes[k] == len(voxels)
        np.testing.assert_allclose(objects.centroids[k], voxels.mean(axis=0))
        assert objects.first[k].tolist() == voxels.min(axis=0).tolist()
        assert objects.last[k].tolist() == voxels.max(axis=0).tolist()
    assert objects.index(objects.labels).tolist() == list(range(len(objects.labels)))


@pytest.mark.parametrize("shape", [(100, 30, 30), (1, 1, 90_000)])
def test_more_than_65535_objects_and_large_labels(shape: tuple[int, int, int]) -> None:
    labels = (np.uint32(2**32 - 1) - np.arange(90_000, dtype=np.uint32)).reshape(shape)
    objects = locate(labels)
    assert len(objects.labels) == 90_000
    assert objects.labels[-1] == 2**32 - 1
    assert (objects.sizes == 1).all()
    assert (objects.first == objects.last).all()
    np.testing.assert_array_equal(objects.centroids[-1], [0, 0, 0])


def test_memory_maps(tmp_path: Path, apart) -> None:
    apart.gt.tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", apart.gt.dtype, "r", shape=apart.gt.shape)
    np.testing.assert_array_equal(locate(mapped).centroids, locate(apart.gt).centroids)


@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 3, 4)])
def test_no_objects(shape: tuple[int, int, int]) -> None:
    objects = locate(np.zeros(shape, np.uint8))
    assert len(objects.labels) == 0
    assert objects.centroids.shape == (0, 3)


@pytest.mark.parametrize("labels", [np.ones((2, 2)), np.ones((2, 2, 2)), -np.ones((2, 2, 2), int)])
def test_what_are_no_labels(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="labels"):
        locate(labels)
