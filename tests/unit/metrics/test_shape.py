import numpy as np
import pytest

from nucseg.metrics.matching import Pairs, matched_pairs
from nucseg.metrics.overlap import overlap_table
from nucseg.metrics.shape import ShapeErrors, shape_errors, shape_of

UNIT = (1.0, 1.0, 1.0)


def ellipsoid(radii: tuple[float, ...], voxel_size: tuple[float, ...] = UNIT) -> np.ndarray:
    """Voxels whose centres lie inside; one voxel is at the centre."""
    axes = [
        np.arange(-n, n + 1) * edge / radius
        for radius, edge in zip(radii, voxel_size, strict=True)
        for n in [int(radius // edge) + 1]
    ]
    return sum(axis**2 for axis in np.ix_(*axes)) <= 1


def test_a_sphere_and_an_ellipsoid() -> None:
    sphere = shape_of(ellipsoid((10, 10, 10), (2, 1, 1)), (2, 1, 1))
    assert sphere.volume == 4094
    assert sphere.area == pytest.approx(4 * np.pi * 100, rel=0.02)
    assert sphere.sphericity == pytest.approx(1, abs=0.01)
    # Exact, by an elliptic integral (Carlson's R_G).
    oblong = shape_of(ellipsoid((6, 10, 14)), UNIT)
    assert oblong.area == pytest.approx(1232.73, rel=0.01)
    assert oblong.sphericity == pytest.approx(0.90753, abs=0.01)


def test_scale_position_and_order_of_axes() -> None:
    mask = ellipsoid((3, 5, 7))
    once, twice = shape_of(mask, UNIT), shape_of(mask, (2, 2, 2))
    assert (twice.volume, twice.area) == pytest.approx((8 * once.volume, 4 * once.area))
    assert twice.sphericity == pytest.approx(once.sphericity)
    assert shape_of(np.pad(mask, 3), UNIT) == once
    assert shape_of(mask.T, UNIT).area == pytest.approx(once.area)


def test_errors_of_matched_objects() -> None:
    gt, pred = np.zeros((30, 30, 60), np.uint32), np.zeros((30, 30, 60), np.uint32)
    gt[4:25, 4:25, 4:25][ellipsoid((9, 9, 9))[:21, :21, :21]] = 300
    gt[4:17, 4:17, 40:53] = 70_000
    pred[gt == 300] = 1
    pred[4:15, 4:17, 40:53] = 2
    same, flat = shape_errors(gt, pred, matched_pairs(overlap_table(gt, pred)), (2, 1, 1))
    assert same == ShapeErrors(0, 0, 0)
    assert flat.volume == pytest.approx(-2 / 13)
    assert -2 / 13 < flat.area < 0
    assert flat.sphericity != 0
    shifted = shape_errors(gt, np.roll(gt, 1, 2), Pairs(np.array([300]), np.array([300]), np.ones(1)), UNIT)
    assert shifted == [ShapeErrors(0, 0, 0)]


def test_one_voxel_and_none() -> None:
    assert shape_of(np.ones((1, 1, 1), bool), (1, 2, 3)).volume == 6
    assert shape_errors(*np.zeros((2, 1, 1, 1), int), Pairs(*np.empty((3, 0), int)), UNIT) == []
    with pytest.raises(ValueError, match="empty"):
        shape_of(np.zeros((2, 2, 2), bool), UNIT)
