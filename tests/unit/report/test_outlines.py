import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nucseg_launcher.report.outlines import outline_path


def polygons(path: str) -> list[np.ndarray]:
    """Corners (x, y) in half pixels of each outline of a path."""
    shapes = []
    for part in path.split("z")[:-1]:
        numbers = np.array([int(n) for n in re.findall(r"-?\d+", part)]).reshape(-1, 2)
        shapes.append(np.cumsum(numbers, axis=0))
    return shapes


def filled(shapes: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies within any of the outlines, drawn eight times as large."""
    picture = Image.new("1", (shape[1] * 8, shape[0] * 8))
    for corners in shapes:
        ImageDraw.Draw(picture).polygon([(4 * x, 4 * y) for x, y in corners.tolist()], fill=1)
    return np.asarray(picture)[4::8, 4::8]


def random_blobs(seed: int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(60, 70)), 3)
    return (noise > 0.05).astype(np.uint16)


@pytest.mark.parametrize("seed", range(3))
def test_an_outline_without_tolerance_encloses_exactly_the_pixels_of_its_label(seed: int) -> None:
    from skimage.morphology import remove_small_holes

    blobs = remove_small_holes(random_blobs(seed) > 0, max_size=5000).astype(np.uint16)

    assert np.array_equal(filled(polygons(outline_path(blobs, 0)), blobs.shape), blobs > 0)


def test_tolerance_saves_corners_and_keeps_the_area() -> None:
    y, x = np.indices((40, 40))
    disc = ((y - 20) ** 2 + (x - 20) ** 2 <= 144).astype(np.uint8)

    exact, shorter = outline_path(disc, 0), outline_path(disc)

    assert len(shorter) < 0.85 * len(exact)
    assert filled(polygons(shorter), disc.shape).sum() == pytest.approx(disc.sum(), rel=0.05)


def test_touching_labels_have_an_outline_each() -> None:
    labels = np.zeros((10, 20), np.uint16)
    labels[2:8, 2:10], labels[2:8, 10:18] = 1, 2

    first, second = polygons(outline_path(labels))

    assert first[:, 0].max() <= 20 <= second[:, 0].min() + 1


def test_every_label_is_drawn_past_255_and_past_65535() -> None:
    labels = np.zeros((60, 60), np.uint32)
    labels[::3, ::3] = np.arange(70_000, 70_400).reshape(20, 20)

    assert len(polygons(outline_path(labels))) == 400


@pytest.mark.parametrize("dtype", [bool, np.float32, np.float64, np.int16])
def test_labels_of_any_type_are_drawn(dtype: type) -> None:
    labels = np.zeros((6, 7), np.uint8)
    labels[1:4, 2:5] = 1

    assert outline_path(labels.astype(dtype)) == outline_path(labels)


def test_a_plane_without_labels_has_no_outline() -> None:
    assert outline_path(np.zeros((5, 5), np.uint8)) == ""
