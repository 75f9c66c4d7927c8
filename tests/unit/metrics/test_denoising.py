from dataclasses import astuple

import numpy as np
import pytest

from nucseg.metrics.denoising import denoising_scores


@pytest.fixture(scope="module")
def clean(apart_0) -> np.ndarray:
    return 100 + 300.0 * (apart_0.gt > 0) + 2 * np.arange(24)[:, None, None]


@pytest.fixture(scope="module")
def noisy(clean: np.ndarray) -> np.ndarray:
    return np.random.RandomState(42).poisson(clean).astype(float)


# PSNR, NRMSE and SSIM, each as it is and scaled; scikit-image 0.26, csbdeep, CAREamics.
NOISY = (28.585053833112145, 28.649532601331366, 0.06635087660459997, 0.06586015167852619)
DIMMED = (14.024490377754233, 28.649532601331366, 0.3547111479108037, 0.06586015167852619)


def test_scores_of_other_programs(clean: np.ndarray, noisy: np.ndarray) -> None:
    expected = (*NOISY, 0.7784483203685093, 0.7815247606026348)
    assert astuple(denoising_scores(clean, noisy)) == pytest.approx(expected)
    expected = (*DIMMED, 0.7532145438124925, 0.7815247606026386)
    assert astuple(denoising_scores(clean, 0.5 * noisy + 37)) == pytest.approx(expected)


def test_an_equal_image(clean: np.ndarray) -> None:
    scores = denoising_scores(clean, clean)
    assert (scores.psnr, scores.nrmse, scores.ssim) == (np.inf, 0, pytest.approx(1))
    assert scores.psnr_scaled > 200


def test_transposition_does_not_matter(clean: np.ndarray, noisy: np.ndarray) -> None:
    assert astuple(denoising_scores(clean.T, noisy.T)) == pytest.approx(astuple(denoising_scores(clean, noisy)))


def test_a_shift_and_a_constant_image(clean: np.ndarray, noisy: np.ndarray) -> None:
    assert denoising_scores(clean, np.roll(clean, 1, 2)).ssim < 1
    flat = denoising_scores(clean, np.full_like(clean, 7))
    assert flat.nrmse_scaled == pytest.approx(clean.std() / np.sqrt(np.mean(clean**2)))


@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 16, 16), (3, 3, 3)])
def test_thin_volumes(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    assert denoising_scores(image, image).ssim == pytest.approx(1)
    assert np.isnan(denoising_scores(np.arange(8).reshape(2, 2, 2), np.arange(8).reshape(2, 2, 2)).ssim)


def test_what_cannot_be_compared(clean: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shapes"):
        denoising_scores(clean, clean[1:])
    with pytest.raises(ValueError, match="finite"):
        denoising_scores(clean, np.where(clean > 300, np.nan, clean))
    with pytest.raises(ValueError, match="constant"):
        denoising_scores(np.ones((3, 3, 3)), np.ones((3, 3, 3)))
