"""Draw nuclei, their chromatin and debris into a fine grid, each in its own small box."""

from dataclasses import dataclass

import numpy as np

from nucseg.simulation.fields import crop_tile, noise_tile
from nucseg.simulation.layout import BEAN, DUMBBELL, MITOTIC, Layout
from nucseg.simulation.presets import Preset
from nucseg.volume import Region, Shape


@dataclass
class Canvas:
    """The fine grid that nuclei are drawn into.

    Attributes
    ----------
    labels : numpy.ndarray
        int32 ZYX, 0 = outside of all nuclei.
    signal : numpy.ndarray
        float32 ZYX, fluorescence before any optics; about 1 inside an average nucleus.
    level : numpy.ndarray
        float32 ZYX: each voxel's squared relative distance from the centre of the nucleus that has it (1 = its
        surface), by which neighbours that press on each other share the space.
    step : float
        Distance of planes in xy voxels.
    """

    labels: np.ndarray
    signal: np.ndarray
    level: np.ndarray
    step: float

    @classmethod
    def blank(cls, shape: Shape, step: float) -> "Canvas":
        """An empty grid."""
        return cls(np.zeros(shape, np.int32), np.zeros(shape, np.float32), np.ones(shape, np.float32), step)


class Chromatin:
    """How the nuclei of one volume are deformed and textured: noise tiles and amplitudes."""

    def __init__(self, rng: np.random.Generator, preset: Preset, diameter: float, step: float) -> None:
        def tile(size: float) -> np.ndarray:
            return noise_tile(rng, (size / step, size, size))

        self._rng = rng
        self._bumps = tile(diameter * rng.uniform(0.18, 0.34))
        self._coarse = tile(diameter * rng.uniform(0.05, 0.13))
        self._fine = tile(rng.uniform(0.5, 0.9))
        self.deformation = rng.uniform(*preset.deformation)
        self.texture = rng.uniform(*preset.texture)
        self.speckle = rng.uniform(*preset.speckle)
        self.brightness_spread = rng.uniform(*preset.brightness_spread)
        self.mitotic_gain = rng.uniform(1.2, 3)
        self.nucleoli = rng.random() < preset.nucleolus_probability
        self.nucleolus_depth = rng.uniform(0.3, 0.95)
        self.nucleolus_size = rng.uniform(0.2, 0.5)
        self.rim = rng.uniform(0.2, 1.2) if rng.random() < preset.rim_probability else 0.0
        self.edge = rng.uniform(0, 0.5)

    def bumps(self, shape: Shape) -> np.ndarray:
        """Factor that deforms the surface of one nucleus."""
        amplitude = self.deformation * self._rng.uniform(0.5, 1.2)
        # Below this limit thin tails would grow out of the nucleus.
        return 1 + np.clip(np.float32(amplitude) * self._crop(self._bumps, shape), np.float32(-0.38), np.float32(0.6))

    def texture_of(self, shape: Shape, mitotic: bool) -> np.ndarray:
        """Relative brightness inside one nucleus."""
        strength = self._rng.uniform(0.5, 1.3) * (0.5 if mitotic else 1)
        pattern = np.float32(self.texture * strength) * self._crop(self._coarse, shape)
        pattern += np.float32(self.speckle * strength) * self._crop(self._fine, shape)
        return np.maximum(1 + pattern, np.float32(0.08))

    def _crop(self, tile: np.ndarray, shape: Shape) -> np.ndarray:
        return crop_tile(self._rng, tile, shape)


def paint_nuclei(rng: np.random.Generator, canvas: Canvas, layout: Layout, chromatin: Chromatin, overlap: float) -> int:
    """Draw all nuclei of a layout; those that would lie too much in others shrink a little or are left out.

    Returns
    -------
    int
        Number of nuclei drawn; their labels are 1 to this number.
    """
    n = len(layout.centres)
    brightness = np.exp(chromatin.brightness_spread * np.clip(rng.standard_normal(n), -1.7, 1.5))
    drawn = 0
    for row in range(n):
        for scale in (1.0, 0.85):
            if _paint(rng, canvas, layout, row, scale, chromatin, overlap, float(brightness[row]), drawn + 1):
                drawn += 1
                break
    return drawn


def _paint(
    rng: np.random.Generator,
    canvas: Canvas,
    layout: Layout,
    row: int,
    scale: float,
    chromatin: Chromatin,
    overlap: float,
    brightness: float,
    label: int,
) -> bool:
    axes = layout.axes[row] * scale
    kind = layout.kinds[row]
    box, offsets = _box(canvas, layout.centres[row], axes, layout.frames[row], 1.28)
    if box is None:
        return False
    u, v, w = (
        np.float32(frame[0] / a) * offsets[0]
        + np.float32(frame[1] / a) * offsets[1]
        + np.float32(frame[2] / a) * offsets[2]
        for frame, a in zip(layout.frames[row], axes, strict=True)
    )
    u2 = u * u
    if kind == BEAN:
        v = v + np.float32(rng.uniform(0.25, 0.6)) * (u2 - np.float32(0.35))
    across = v * v + w * w
    if kind == DUMBBELL:
        across /= 1 - np.float32(rng.uniform(0.4, 0.75)) / (1 + 14 * u2)
    bumps = chromatin.bumps(u.shape)
    level = (u2 + across) * bumps
    inside = level < 1
    size = np.count_nonzero(inside)
    if size == 0 or np.count_nonzero(inside & (canvas.labels[box] > 0)) > overlap * size:
        return False
    mine = level < canvas.level[box]
    mitotic = kind == MITOTIC
    value = chromatin.texture_of(u.shape, mitotic)
    if mitotic:
        brightness *= chromatin.mitotic_gain
    else:
        if chromatin.nucleoli:
            _dig_nucleoli(rng, value, (u, v, w), chromatin)
        if chromatin.rim:
            value *= 1 + np.float32(chromatin.rim) * np.clip(level * 2 - 1, 0, 1)
    if chromatin.edge:
        value *= np.minimum((1 - level) / np.float32(chromatin.edge) + np.float32(0.3), 1)
    value *= np.float32(brightness)
    canvas.level[box][mine] = level[mine]
    canvas.labels[box][mine] = label
    canvas.signal[box][mine] = value[mine]
    return True


def _box(
    canvas: Canvas, centre: np.ndarray, axes: np.ndarray, frame: np.ndarray, margin: float
) -> tuple[Region | None, list[np.ndarray]]:
    """The part of the grid around an ellipsoid, and the open grid of distances from its centre, xy voxels."""
    reach = margin * np.sqrt(np.square(axes[:, None] * frame).sum(axis=0))
    region, offsets = [], []
    for axis, (c, r, n) in enumerate(zip(centre, reach, canvas.labels.shape, strict=True)):
        step = canvas.step if axis == 0 else 1.0
        start, stop = max(0, int(np.floor((c - r) / step))), min(n, int(np.ceil((c + r) / step)) + 1)
        if start >= stop:
            return None, []
        region.append(slice(start, stop))
        offset = (np.arange(start, stop) * step - c).astype(np.float32)
        offsets.append(offset.reshape([-1 if a == axis else 1 for a in range(3)]))
    return (region[0], region[1], region[2]), offsets


def _dig_nucleoli(
    rng: np.random.Generator, value: np.ndarray, uvw: tuple[np.ndarray, ...], chromatin: Chromatin
) -> None:
    """Darken one to three soft balls, in the nucleus's own coordinates (1 = its surface)."""
    for _ in range(int(rng.integers(1, 4))):
        size = chromatin.nucleolus_size * rng.uniform(0.5, 1.1)
        away = [x - np.float32(c) for x, c in zip(uvw, rng.uniform(-0.42, 0.42, 3), strict=True)]
        distance = (away[0] * away[0] + away[1] * away[1] + away[2] * away[2]) * np.float32(1 / size**2)
        value *= 1 - np.float32(chromatin.nucleolus_depth) * np.clip(2 - 2 * distance, 0, 1)


def open_clefts(canvas: Canvas, remaining: float) -> None:
    """Darken the voxels where two nuclei meet to `remaining` of their signal."""
    meets = np.zeros(canvas.labels.shape, bool)
    for axis in range(3):
        here = [slice(None)] * 3
        there = [slice(None)] * 3
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        a, b = canvas.labels[tuple(here)], canvas.labels[tuple(there)]
        edge = (a != b) & (a > 0) & (b > 0)
        meets[tuple(here)] |= edge
        meets[tuple(there)] |= edge
    canvas.signal[meets] *= np.float32(remaining)


def scatter_debris(rng: np.random.Generator, canvas: Canvas, number: int) -> None:
    """Add small bright specks, which have no label."""
    frame = np.eye(3)
    for _ in range(number):
        centre = rng.random(3) * np.array(canvas.labels.shape) * [canvas.step, 1, 1]
        radius = np.full(3, rng.uniform(0.6, 2.2))
        box, offsets = _box(canvas, centre, radius, frame, 2.0)
        if box is None:
            continue
        distance = (offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2) * np.float32(1 / (2 * radius[0]) ** 2)
        canvas.signal[box] += np.float32(rng.uniform(0.3, 3)) * np.maximum(1 - distance, 0)
