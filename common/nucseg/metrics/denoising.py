"""How close a denoised image is to a clean one."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DenoisingScores:
    """Scores of an image against a clean one, as they are and after the best linear scaling.

    The scaled ones fit ``a * image + b`` to the clean image by least squares first, so that brightness and offset
    do not count (``csbdeep.utils.normalize_minmse``). CAREamics' ``scale_invariant_psnr`` and N2V's ``best_PSNR``
    come to the same number.

    Attributes
    ----------
    psnr, psnr_scaled : float
        Peak signal-to-noise ratio in dB; the peak is the range (max - min) of the clean image. inf if equal.
    nrmse, nrmse_scaled : float
        Root mean square error over the root mean square of the clean image (scikit-image's ``euclidean``; its
        ``min-max`` and ``mean`` divide by range and mean and give other numbers).
    ssim, ssim_scaled : float
        Structural similarity in 3D, uniform windows of 7 voxels, sample covariance, range as above
        (scikit-image's default; Wang et al. 2004 use Gaussian windows, and means over slices differ much).
        Axes shorter than 7 take the largest odd window that fits; axes of length 1 are dropped; nan with an axis
        of 2.
    """

    psnr: float
    psnr_scaled: float
    nrmse: float
    nrmse_scaled: float
    ssim: float
    ssim_scaled: float


def denoising_scores(clean: np.ndarray, image: np.ndarray) -> DenoisingScores:
    """Compare an image with a clean one of the same shape.

    Raises
    ------
    ValueError
        The shapes differ, a value is not finite, or the clean image is constant: it has no range.

    Examples
    --------
    >>> clean = np.arange(8.0 * 8 * 8).reshape(8, 8, 8)
    >>> scores = denoising_scores(clean, 2 * clean + 5)
    >>> scores.nrmse > 1, round(scores.nrmse_scaled, 6), round(scores.ssim_scaled, 6)
    (True, 0.0, 1.0)
    """
    if clean.shape != image.shape:
        raise ValueError(f"images of shapes {clean.shape} and {image.shape} cannot be compared")
    clean, image = clean.astype(np.float64), image.astype(np.float64)
    if not (np.isfinite(clean).all() and np.isfinite(image).all()):
        raise ValueError("images with values that are not finite cannot be compared")
    if not clean.size or clean.max() == clean.min():
        raise ValueError("the clean image is constant: there is no range to compare with")
    scaled = _fitted(clean, image)
    plain, fitted = _scores(clean, image), _scores(clean, scaled)
    return DenoisingScores(plain[0], fitted[0], plain[1], fitted[1], plain[2], fitted[2])


def _fitted(clean: np.ndarray, image: np.ndarray) -> np.ndarray:
    centred = image - image.mean()
    power = np.vdot(centred, centred)
    slope = np.vdot(centred, clean) / power if power else 0.0
    return slope * centred + clean.mean()


def _scores(clean: np.ndarray, image: np.ndarray) -> tuple[float, float, float]:
    span = float(clean.max() - clean.min())
    error = float(np.mean((clean - image) ** 2))
    psnr = 10 * np.log10(span**2 / error) if error else float("inf")
    return float(psnr), float(np.sqrt(error / np.mean(clean**2))), _ssim(clean, image, span)


def _ssim(clean: np.ndarray, image: np.ndarray, span: float) -> float:
    from skimage.metrics import structural_similarity

    clean, image = np.squeeze(clean), np.squeeze(image)
    window = min([7, *(n - 1 + n % 2 for n in clean.shape)])
    if window < 3:
        return float("nan")
    return float(structural_similarity(clean, image, win_size=window, data_range=span))
