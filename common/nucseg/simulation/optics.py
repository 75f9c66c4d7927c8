"""From fluorescence to an image: blur, depth, background, photons, camera.

Nothing here looks at labels. Rounding to an integer type comes last, and whole arrays meet only exactly
rounded arithmetic and scipy's filters, so that the bytes are the same everywhere.
"""

import numpy as np
from scipy import ndimage

from nucseg.simulation.fields import smooth_field, stretch
from nucseg.simulation.presets import Preset
from nucseg.volume import Triple


def blur(signal: np.ndarray, sigma: Triple) -> np.ndarray:
    """Convolve with a Gaussian point spread function; `sigma` in voxels of `signal`, ZYX."""
    for axis, s in enumerate(sigma):
        signal = ndimage.gaussian_filter1d(signal, s, axis=axis, mode="nearest", truncate=3.0)
    return signal


def draw_log(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """A number between the limits, uniform in the logarithm."""
    low, high = limits
    return float(low * (high / low) ** rng.random())


def add_background(
    rng: np.random.Generator, signal: np.ndarray, preset: Preset, diameter: float, anisotropy: float
) -> np.ndarray:
    """Add out-of-focus haze, an uneven background and autofluorescent sheets and lumps.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    signal : numpy.ndarray
        Blurred fluorescence on the sampled grid, float32 ZYX.
    preset : Preset
        The ranges.
    diameter : float
        Median nucleus diameter, xy voxels.
    anisotropy : float
        z step / xy pixel.
    """
    shape = signal.shape
    per_z = np.array([1 / anisotropy, 1, 1])
    total = signal.copy()
    haze = rng.uniform(*preset.haze)
    # The halo of each nucleus, and the glow of all of them; both are smooth enough for every fourth pixel.
    for share, width in ((rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.7)), (1.0, rng.uniform(1, 3))):
        across = width * diameter / 4
        along = min(1.5 * width * diameter / anisotropy, 20.0)
        total += np.float32(haze * share) * stretch(blur(signal[:, ::4, ::4], (along, across, across)), shape)
    level = draw_log(rng, preset.background)
    uneven = smooth_field(rng, shape, tuple(max(shape) * rng.uniform(0.4, 1.2) * per_z))
    total += np.float32(level) * np.clip(1 + np.float32(rng.uniform(0, 0.6)) * uneven, np.float32(0.05), None)
    amount = rng.uniform(*preset.structure) * (rng.random() < 0.7)
    if amount:
        pattern = smooth_field(rng, shape, tuple(diameter * rng.uniform(0.6, 2) * per_z))
        where = np.clip(smooth_field(rng, shape, tuple(3 * diameter * per_z)) + np.float32(0.5), 0, 1.5)
        sheet = np.maximum(1 - np.abs(pattern) / np.float32(rng.uniform(0.1, 0.35)), 0)
        lump = np.clip(pattern - np.float32(0.8), 0, 2)
        total += np.float32(amount) * where * (sheet if rng.random() < 0.6 else lump)
    return total


def illuminate(rng: np.random.Generator, signal: np.ndarray, preset: Preset) -> np.ndarray:
    """Lose light with depth, from the first or from the last plane, unevenly across the field and in stripes."""
    z, y, x = signal.shape
    kept = 1 - rng.uniform(*preset.depth_loss)
    depth = kept ** (np.arange(z) / max(z - 1, 1))
    if rng.random() < 0.3:
        depth = depth[::-1]
    corners = 1 - rng.uniform(0, 0.5) * rng.random((1, 2, 2)) * (rng.random() < 0.5)
    field = stretch(corners, (1, y, x)) * depth.astype(np.float32)[:, None, None]
    if rng.random() < 0.15:
        field = field * np.maximum(1 + np.float32(0.15) * smooth_field(rng, (z, y, 1), (z, 4, 1)), np.float32(0.3))
    return signal * field


def blur_with_depth(rng: np.random.Generator, signal: np.ndarray, strength: float) -> np.ndarray:
    """Blend towards a blurred copy with depth, as scattering specimens do; `strength` 0 to 1."""
    soft = blur(signal, (0.6, 1.2, 1.2))
    weight = (strength * np.arange(len(signal)) / max(len(signal) - 1, 1)).astype(np.float32)[:, None, None]
    return signal + weight * (soft - signal)


def expose(rng: np.random.Generator, signal: np.ndarray, preset: Preset) -> np.ndarray:
    """Photon noise, camera gain, offset and read noise, perhaps a smoothing filter; uint8 or uint16."""
    photons = draw_log(rng, preset.photons)
    gain = draw_log(rng, (1, 40))
    counts = rng.poisson(np.maximum(signal, 0).astype(np.float64) * photons).astype(np.float32)
    counts += np.float32(rng.uniform(0, 0.15) * np.sqrt(photons)) * rng.standard_normal(counts.shape, dtype=np.float32)
    if rng.random() < preset.smoothed_probability:
        s = rng.uniform(0.4, 1)
        counts = blur(counts, (s * rng.uniform(0, 1), s, s))
    if rng.random() < preset.eight_bit_probability:
        low, high = np.percentile(counts[::2, ::3, ::3], [rng.uniform(0, 30), rng.uniform(99.5, 99.99)])
        top = rng.uniform(90, 255)
        counts = (counts - np.float32(low)) * np.float32(top / max(high - low, 1e-3))
        return np.clip(np.rint(counts), 0, 255).astype(np.uint8)
    counts = counts * np.float32(gain) + np.float32(rng.choice([0, 100, 100, 400]))
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
