"""Smooth random fields: scale, range and interpolation."""

import numpy as np
import pytest

from nucseg.simulation.fields import TILE, crop_tile, noise_tile, smooth_field, stretch


def generator():
    return np.random.Generator(np.random.PCG64(2))


@pytest.mark.parametrize("sigma", [0.7, 4.0])
def test_noise_tile_is_normalised_periodic_and_as_smooth_as_asked(sigma):
    tile = noise_tile(generator(), (sigma,) * 3)
    assert tile.mean() == pytest.approx(0, abs=1e-3)
    assert tile.std() == pytest.approx(1, abs=1e-3)
    # Correlation of Gaussian-filtered noise at distance d is exp(-d^2 / (4 sigma^2)), across the seam as well.
    assert np.mean(tile * np.roll(tile, 1, axis=1)) == pytest.approx(np.exp(-1 / (4 * sigma**2)), abs=0.06)
    assert np.corrcoef(tile[:, 0].ravel(), tile[:, -1].ravel())[0, 1] == pytest.approx(
        np.exp(-1 / (4 * sigma**2)), abs=0.15
    )


def test_crops_may_be_larger_than_the_tile():
    tile = noise_tile(generator(), (1, 1, 1))
    assert crop_tile(generator(), tile, (3, TILE, TILE + 9)).shape == (3, TILE, TILE + 9)


def test_stretch_keeps_the_corners_and_interpolates_between():
    coarse = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    field = stretch(coarse, (3, 3, 5))
    assert field[0, 0, 0] == 0
    assert field[-1, -1, -1] == 7
    assert np.allclose(field[0, 0], [0, 0.25, 0.5, 0.75, 1])


def test_smooth_field_has_about_unit_range():
    field = smooth_field(generator(), (40, 80, 80), (8, 8, 8))
    assert abs(field.mean()) < 0.2
    assert 0.4 < field.std() < 1.3
