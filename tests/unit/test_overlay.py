import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucseg.overlay import write_overlays
from nucseg.volume import Triple, Volume

GAP = 8


def scene(shape: tuple[int, int, int], voxel_size: Triple | None = None) -> tuple[Volume, np.ndarray]:
    labels = np.zeros(shape, np.uint16)
    z, y, x = (n // 4 for n in shape)
    labels[:z, :y, :x] = 1
    labels[:z, :y, x : 2 * x] = 2
    data = np.random.default_rng(0).normal(100, 5, shape).astype(np.float32) + 50 * (labels > 0)
    return Volume(data, voxel_size, Path("a.tif")), labels


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def panels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = picture(path)
    half = (image.shape[1] - GAP) // 2
    return image[:, :half], image[:, half + GAP :]


def coloured(panel: np.ndarray) -> np.ndarray:
    return np.ptp(panel, axis=2) > 0


def colours(panel: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(c) for c in panel[coloured(panel)].tolist()}


def test_three_pictures_with_the_raw_section_beside_the_outlined_one(tmp_path: Path) -> None:
    volume, labels = scene((40, 48, 56))
    paths = write_overlays(tmp_path, "a b", volume, labels)
    assert [p.name for p in paths] == ["a b_xy.png", "a b_xz.png", "a b_yz.png"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for path in paths:
        raw, outlined = panels(path)
        assert not coloured(raw).any()
        assert 0 < coloured(outlined).mean() < 0.1
        np.testing.assert_array_equal(raw[~coloured(outlined)], outlined[~coloured(outlined)])


def test_sections_meet_the_nuclei_even_far_from_the_middle(tmp_path: Path) -> None:
    volume, labels = scene((40, 48, 56))
    assert not labels[20].any()
    for path in write_overlays(tmp_path, "a", volume, labels):
        assert coloured(panels(path)[1]).any()


def test_outlines_lie_inside_their_label_and_are_one_pixel_wide(tmp_path: Path) -> None:
    volume, labels = scene((40, 790, 796))  # the panel holds the section as it is
    xy = panels(write_overlays(tmp_path, "a", volume, labels)[0])[1]
    assert xy.shape[:2] == (790, 796)
    mask = coloured(xy)
    rows, columns = np.nonzero(mask)
    assert rows.max() == 196
    assert columns.max() == 2 * 199 - 1
    assert mask[100].sum() == 4 - 1  # the border of the image is no outline: right of 1, left and right of 2


def test_a_label_has_one_colour_everywhere_and_neighbours_differ(tmp_path: Path) -> None:
    volume, labels = scene((40, 48, 56))
    labels[labels == 2] = 300
    xy, xz, yz = write_overlays(tmp_path, "a", volume, labels)
    both = colours(panels(xy)[1])
    assert len(both) == 2
    assert colours(panels(xz)[1]) == both
    assert colours(panels(yz)[1]) < both
    first, second = (np.array(c) for c in both)
    assert np.abs(first - second).sum() > 150


@pytest.mark.parametrize(
    ("voxel_size", "ratio"), [(None, 1.0), ((1.0, 1.0, 1.0), 1.0), ((2.0, 1.0, 1.0), 2.0), ((0.7, 1.0, 1.0), 0.7)]
)
def test_pixels_are_isotropic(tmp_path: Path, voxel_size: Triple | None, ratio: float) -> None:
    volume, labels = scene((40, 50, 60), voxel_size)
    for path, rows, columns in zip(
        write_overlays(tmp_path, "a", volume, labels), (50, 40, 40), (60, 60, 50), strict=True
    ):
        raw, _ = panels(path)
        expected = (rows if "xy" in path.name else rows * ratio) / columns
        assert raw.shape[0] / raw.shape[1] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 2, 2), (30, 300, 300), (4, 900, 2500), (5, 443, 512)])
def test_size_is_for_viewing(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    volume, labels = scene(shape, (1.0, 0.2, 0.2))
    for path in write_overlays(tmp_path, "a", volume, labels):
        image = picture(path)
        assert 400 <= max(image.shape) <= 1610
        assert path.stat().st_size < 3e6


def test_one_of_several_channels_is_not_copied(tmp_path: Path) -> None:
    volume, labels = scene((96, 256, 256))
    channels = np.stack([volume.data] * 4, axis=1)
    tracemalloc.start()
    write_overlays(tmp_path, "a", replace(volume, data=channels[:, 2]), labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < volume.data.nbytes
    write_overlays(tmp_path, "b", volume, labels)
    for view in ("xy", "xz", "yz"):
        assert (tmp_path / f"a_{view}.png").read_bytes() == (tmp_path / f"b_{view}.png").read_bytes()


def test_no_labels_and_no_contrast(tmp_path: Path) -> None:
    volume = Volume(np.zeros((5, 6, 7), np.uint8), None, Path("a.tif"))
    for path in write_overlays(tmp_path, "a", volume, np.zeros((5, 6, 7), np.uint16)):
        left, right = panels(path)
        np.testing.assert_array_equal(left, right)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    volume, labels = scene((10, 20, 20), (1.0, 0.5, 0.5))
    first = [p.read_bytes() for p in write_overlays(tmp_path, "a", volume, labels)]
    assert first == [p.read_bytes() for p in write_overlays(tmp_path, "b", volume, labels)]
