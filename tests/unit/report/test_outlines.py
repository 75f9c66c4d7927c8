import re

import numpy as np
import pytest

from nucseg_launcher.report.outlines import outline_path


def polygons(path: str) -> list[np.ndarray]:
    """Corners (x, y) of each outline of a path; its last side is the way back."""
    shapes = []
    for part in path.split("z")[:-1]:
        corners = [tuple(map(int, re.findall(r"\d+", part.split("h")[0])))]
        for axis, length in re.findall(r"([hv])(-?\d+)", part):
            x, y = corners[-1]
            corners.append((x + int(length), y) if axis == "h" else (x, y + int(length)))
        shapes.append(np.array(corners))
    return shapes


def enclosed(shapes: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The pixels within an odd number of outlines: at each side along a column, whatever is right of it changes."""
    inside = np.zeros(shape, bool)
    for corners in shapes:
        for (x, y), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if x == x2:
                inside[min(y, y2) : max(y, y2), x:] ^= True
    return inside


def random_labels(seed: int) -> np.ndarray:
    """Blobs with holes, single pixels and pixels that touch at a corner; many touch each other."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    fields = np.stack([gaussian_filter(random.normal(size=(60, 70)), width) for width in (0.7, 2, 3)])
    return np.where(fields.max(axis=0) > 0.05, fields.argmax(axis=0) + 1, 0).astype(np.uint16)


@pytest.mark.parametrize("seed", range(3))
def test_outlines_enclose_exactly_the_pixels_of_a_label(seed: int) -> None:
    labels = random_labels(seed)
    for label in range(1, 4):
        alone = np.where(labels == label, labels, 0)
        assert np.array_equal(enclosed(polygons(outline_path(alone)), labels.shape), labels == label)


@pytest.mark.parametrize("every", [(1, 1), (2, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_no_outline_crosses_itself_and_every_corner_is_one(seed: int, every: tuple[int, int]) -> None:
    for corners in polygons(outline_path(random_labels(seed), every)):
        sides = np.roll(corners, -1, axis=0) - corners
        assert np.all((sides != 0).sum(axis=1) == 1)
        # Along a row and along a column in turn: no corner lies on a straight line.
        assert np.all((sides[:, 0] != 0) != (np.roll(sides, 1, axis=0)[:, 0] != 0))
        # It may touch itself where two pixels have a corner in common; where it goes straight on, it is alone.
        turns = [tuple(corner) for corner in corners.tolist()]
        straight = [
            (x + int(np.sign(dx)) * step, y + int(np.sign(dy)) * step)
            for (x, y), (dx, dy) in zip(turns, sides.tolist(), strict=True)
            for step in range(1, abs(dx + dy))
        ]
        assert len(straight) == len(set(straight) - set(turns))


def test_a_square_is_a_square() -> None:
    labels = np.zeros((6, 6), np.uint8)
    labels[2:4, 3:5] = 9

    assert outline_path(labels) == "M3 2h2v2h-2z"


def test_where_more_is_not_seen_the_outline_is_shorter_and_the_area_the_same() -> None:
    y, x = np.indices((161, 161))
    disc = ((y - 80) ** 2 + (x - 80) ** 2 <= 75**2).astype(np.uint8)

    exact, shorter = outline_path(disc), outline_path(disc, (3, 3))

    assert len(shorter) < 0.5 * len(exact)
    assert enclosed(polygons(shorter), disc.shape).sum() == pytest.approx(disc.sum(), rel=0.02)


def test_outlines_end_with_the_plane() -> None:
    corners = polygons(outline_path(np.ones((8, 8), np.uint8), (3, 5)))[0]

    assert corners.max(axis=0).tolist() == [8, 8]


def test_touching_labels_have_an_outline_each() -> None:
    labels = np.zeros((10, 20), np.uint16)
    labels[2:8, 2:10], labels[2:8, 10:18] = 1, 2

    first, second = polygons(outline_path(labels))

    assert first[:, 0].max() == 10 == second[:, 0].min()


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
