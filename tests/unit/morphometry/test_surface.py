import numpy as np
import pytest

from nucseg.morphometry.sums import sum_up
from nucseg.morphometry.surface import sphericity, surface_area, surface_areas

UNIT = (1.0, 1.0, 1.0)


def ball(radius: float, margin: int = 0) -> np.ndarray:
    reach = int(radius) + margin
    return np.sum(np.square(np.mgrid[-reach : reach + 1, -reach : reach + 1, -reach : reach + 1]), axis=0) <= radius**2


def test_planes_in_all_orientations_have_their_area() -> None:
    """A large ball has them all: with steps left in the normals it would be several percent too large."""
    assert surface_area(ball(40.3), UNIT) == pytest.approx(4 * np.pi * 40.3**2, rel=0.01)


def test_a_box_loses_little_at_its_edges() -> None:
    assert surface_area(np.ones((20, 30, 40), bool), UNIT) == pytest.approx(2 * (600 + 1200 + 800), rel=0.04)


def test_one_voxel_has_its_faces() -> None:
    assert surface_area(np.ones((1, 1, 1), bool), (1.0, 2.0, 3.0)) == pytest.approx(2 * (2 + 3 + 6))


def test_the_inside_of_a_hole_counts() -> None:
    hollow = ball(14, 1)
    hollow[8:-8, 8:-8, 8:-8] &= ~ball(7)
    assert surface_area(hollow, UNIT) == pytest.approx(4 * np.pi * (14**2 + 7**2), rel=0.02)


def test_scale_position_and_order_of_axes() -> None:
    mask = ball(7)[:, 2:, 4:]
    once = surface_area(mask, (2.0, 1.0, 0.5))
    assert surface_area(mask, (4.0, 2.0, 1.0)) == pytest.approx(4 * once)
    assert surface_area(np.pad(mask, 3), (2.0, 1.0, 0.5)) == pytest.approx(once)
    assert surface_area(mask.T, (0.5, 1.0, 2.0)) == pytest.approx(once, rel=1e-5)
    assert surface_area(mask[::-1], (2.0, 1.0, 0.5)) == pytest.approx(once, rel=1e-5)


def test_nuclei_that_touch_have_the_surface_that_each_has_alone() -> None:
    labels = np.zeros((19, 19, 40), np.uint16)
    labels[:, :, 20:39][ball(9)] = 300
    labels[:, :, 4:23][ball(9)] = 7
    sums = sum_up(labels, labels)
    areas = surface_areas(labels, sums.labels, sums.first, sums.last, UNIT)
    assert areas[0] == pytest.approx(surface_area(ball(9), UNIT))
    assert areas[1] == pytest.approx(surface_area(labels == 300, UNIT))


def test_sphericity_of_a_cube() -> None:
    assert sphericity(np.array([8.0]), np.array([24.0])) == pytest.approx([(np.pi / 6) ** (1 / 3)])


@pytest.mark.parametrize("voxel_size", [UNIT, (0.2, 1.0, 1.0), (5.0, 1.0, 1.0)])
def test_objects_of_many_voxels_are_done_block_by_block(voxel_size, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = ball(9)[:, 3:]
    whole = surface_area(mask, voxel_size)
    monkeypatch.setattr("nucseg.morphometry.surface._BLOCK_VOXELS", 2000)
    assert surface_area(mask, voxel_size) == pytest.approx(whole, rel=1e-6)
