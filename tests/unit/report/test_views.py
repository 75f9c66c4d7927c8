import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nucseg.formats import read_volume
from nucseg_launcher.report.planes import Planes, open_planes
from nucseg_launcher.report.views import WINDOW, around, cut, whole


def planes_of(data: np.ndarray, seen: list[int] | None = None) -> Planes:
    def read(z: int) -> np.ndarray:
        if seen is not None:
            seen.append(z)
        return data[z]

    z, y, x = data.shape
    return Planes((z, y, x), read)


def test_sections_go_through_the_centre() -> None:
    data = np.arange(6 * 7 * 8).reshape(6, 7, 8)

    xy, xz, yz = cut(planes_of(data), whole((6, 7, 8), (1, 1, 1), (2, 3, 4), None))

    assert np.array_equal(xy, data[2])
    assert np.array_equal(xz, data[:, 3, :])
    assert np.array_equal(yz, data[:, :, 4].T)


def test_a_wide_volume_is_made_smaller_only_until_its_nuclei_would_be_hard_to_see() -> None:
    view = whole((100, 5000, 5000), (1, 1, 1), (50, 2500, 100), diameter=40)

    assert view.shrink == 2
    (y0, y1), (x0, x1) = view.box[1:]
    assert (y1 - y0, x1 - x0) == (2 * WINDOW, 2 * WINDOW)
    assert y0 < 2500 < y1
    assert x0 == 0
    assert max(view.extent) <= WINDOW


def test_a_crop_reads_none_but_its_own_planes() -> None:
    seen: list[int] = []
    view = around((50, 40, 40), (1, 1, 1), [(20, 26), (10, 20), (10, 20)], (23, 15, 15), margin=2)

    cut(planes_of(np.zeros((50, 40, 40), np.uint8), seen), view)

    assert set(seen) == set(range(18, 28))


def test_one_plane_is_in_memory_at_a_time() -> None:
    planes: list[weakref.ref[np.ndarray]] = []

    def read(z: int) -> np.ndarray:
        plane = np.full((30, 30), z)
        assert sum(earlier() is not None for earlier in planes) <= 1
        planes.append(weakref.ref(plane))
        return plane

    cut(Planes((20, 30, 30), read), whole((20, 30, 30), (1, 1, 1), (10, 15, 15), None))

    assert len(planes) == 21


def test_of_a_huge_volume_only_some_planes_are_read() -> None:
    view = whole((2000, 60_000, 60_000), (1, 1, 1), (1000, 100, 100), diameter=12)

    assert (view.box[0][1] - view.box[0][0]) / view.z_step * 60_000**2 <= 1.1 * 2**31 + 60_000**2


def test_a_crop_of_anisotropic_voxels_is_no_tower() -> None:
    view = around((100, 100, 100), (5, 0.5, 0.5), [(10, 60), (10, 30), (10, 30)], (35, 20, 20), margin=0)

    depth, height, width = view.extent
    assert depth <= max(height, width) * 1.01


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_of_a_channel_are_those_of_the_volume(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "a.ome.tif"
    data = np.random.default_rng(0).integers(0, 999, (4, 3, 20, 30), np.uint16)
    tifffile.imwrite(path, data, metadata={"axes": "ZCYX"}, ome=True, compression=compression)
    expected = read_volume(path, channel=2).data

    with open_planes(path, lambda: read_volume(path, channel=2).data, channel=2) as planes:
        assert planes.shape == (4, 20, 30)
        assert all(np.array_equal(planes.read(z), expected[z]) for z in range(4))
