import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.formats import read_labels, read_volume, write_labels


def numbered(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    labels = np.zeros(shape, np.int64)
    labels.ravel()[-count:] = np.arange(1, count + 1)
    return labels


@pytest.mark.parametrize(("count", "dtype"), [(0, np.uint16), (3, np.uint16), (65535, np.uint16), (65536, np.uint32)])
def test_labels_come_back_in_the_smallest_allowed_dtype(tmp_path: Path, count: int, dtype: type) -> None:
    labels = np.zeros((2, 300, 300), np.int64) if not count else numbered(count, (2, 300, 300))
    path = tmp_path / "exact name [1].tif"
    write_labels(path, labels, None)
    read = read_labels(path)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, labels)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("slices", [1, 2, 40])
def test_file_is_ome_tiff_zyx_in_compressed_strips(tmp_path: Path, slices: int) -> None:
    path = tmp_path / "a.tif"
    write_labels(path, numbered(5, (slices, 600, 500)), (2.0, 0.28371836501901143, 0.25))
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.series[0].get_shape(squeeze=False) == (1, slices, 1, 600, 500, 1)
        assert tif.series[0].get_axes(squeeze=False) == "TZCYXS"
        page = tif.pages.first
        assert not page.is_tiled
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert len(page.dataoffsets) > 1
        xml = tif.ome_metadata
    assert 'PhysicalSizeY="0.28371836501901143"' in xml
    if slices > 1:
        assert read_volume(path).voxel_size == (2.0, 0.28371836501901143, 0.25)


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    labels = numbered(70, (3, 20, 30))
    for name, array in (("a.tif", labels), ("b.tif", labels.astype(np.uint16)), ("c.tif", np.roll(labels, 1))):
        write_labels(tmp_path / name, array, (1.0, 1.0, 1.0))
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.tif", "b.tif", "c.tif"))
    assert a == b
    assert a != c


def test_labels_with_gaps_are_refused(tmp_path: Path) -> None:
    labels = numbered(5, (2, 3, 4))
    labels[labels == 3] = 0
    with pytest.raises(ValueError, match="3 is missing"):
        write_labels(tmp_path / "a.tif", labels, None)
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_text("old")
    labels = np.random.default_rng(0).permutation(np.arange(60_000)).reshape(6, 100, 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(NucsegError, match="no space left") as caught:
            write_labels(path, labels, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == ENVIRONMENT
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    assert path.read_text() == "old"


def test_writing_needs_no_second_copy_of_the_volume(tmp_path: Path) -> None:
    labels = np.zeros((64, 256, 256), np.int32)
    labels[30:40, 50:90, 50:90] = 1
    write_labels(tmp_path / "warm.tif", labels[:2] * 0, None)
    tracemalloc.start()
    write_labels(tmp_path / "a.tif", labels, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < labels.nbytes / 4
