"""From fluorescence to an image: what light is lost, blurred and counted."""

import dataclasses

import numpy as np
import pytest

from nucseg.simulation import optics, presets

PLAIN = dataclasses.replace(
    presets()["tissue"],
    depth_loss=(0.5, 0.5),
    photons=(50, 50),
    smoothed_probability=0.0,
    eight_bit_probability=0.0,
)


def generator(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def test_blur_keeps_the_light_and_is_wider_along_z():
    point = np.zeros((31, 31, 31), np.float32)
    point[15, 15, 15] = 1
    blurred = optics.blur(point, (3, 1, 1))
    assert blurred.sum() == pytest.approx(1, abs=1e-3)
    offset = np.arange(31) - 15
    assert (blurred.sum(axis=(1, 2)) * offset**2).sum() == pytest.approx(9, rel=0.05)
    assert (blurred.sum(axis=(0, 1)) * offset**2).sum() == pytest.approx(1, rel=0.05)


def test_half_of_the_light_is_lost_between_first_and_last_plane():
    ratios = []
    for seed in range(20):
        planes = optics.illuminate(generator(seed), np.ones((20, 16, 16), np.float32), PLAIN).mean(axis=(1, 2))
        ratios.append(planes[-1] / planes[0])
    # Some volumes are seen from the other side, and some have stripes that differ from plane to plane.
    from_above = [ratio for ratio in ratios if ratio < 1]
    assert 10 < len(from_above) < 20
    assert np.median(from_above) == pytest.approx(0.5, rel=0.01)
    assert np.median([ratio for ratio in ratios if ratio > 1]) == pytest.approx(2, rel=0.01)


def test_exposure_has_photon_noise():
    # With gain g, offset o and N photons, the mean is g N + o and the variance at least g^2 N.
    image = optics.expose(generator(), np.repeat(np.float32([0.0, 1.0, 2.0]), 20000).reshape(3, 200, 100), PLAIN)
    dark, one, two = image.astype(float)
    gain = (one.mean() - dark.mean()) / 50
    assert two.mean() - one.mean() == pytest.approx(one.mean() - dark.mean(), rel=0.05)
    assert two.var() - one.var() == pytest.approx(50 * gain**2, rel=0.2)
    assert image.dtype == np.uint16


def test_eight_bit_volumes_use_their_range():
    preset = dataclasses.replace(PLAIN, eight_bit_probability=1.0)
    signal = np.linspace(0, 1, 40 * 40 * 40, dtype=np.float32).reshape(40, 40, 40)
    image = optics.expose(generator(), signal, preset)
    assert image.dtype == np.uint8
    assert image.max() > 80
    assert image.min() == 0


def test_background_adds_light_everywhere():
    signal = np.zeros((12, 40, 40), np.float32)
    signal[4:8, 15:25, 15:25] = 1
    preset = dataclasses.replace(PLAIN, background=(0.2, 0.2), haze=(0.3, 0.3))
    total = optics.add_background(generator(), signal, preset, 12.0, 2.0)
    assert np.all(total > signal)
    near, far = total[5, 20, 12], total[5, 2, 2]
    assert near > far
