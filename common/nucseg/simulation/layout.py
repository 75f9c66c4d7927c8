"""Where the nuclei of a simulated volume lie, and the parameters of their shapes.

Lengths are in xy voxels along all three axes (an isotropic frame), ZYX.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from nucseg.simulation.arrangements import arrange
from nucseg.simulation.presets import Preset
from nucseg.volume import Triple

PLAIN, BEAN, DUMBBELL, MITOTIC = range(4)
RELAXATION_STEPS = 30


@dataclass
class Layout:
    """The nuclei of one volume, one row each.

    Attributes
    ----------
    centres : numpy.ndarray
        (n, 3) ZYX, xy voxels.
    axes : numpy.ndarray
        (n, 3) semi-axes: long, middle, short; xy voxels.
    frames : numpy.ndarray
        (n, 3, 3) directions (ZYX) of the three axes.
    kinds : numpy.ndarray
        (n,) `PLAIN`, `BEAN`, `DUMBBELL` or `MITOTIC`.
    """

    centres: np.ndarray
    axes: np.ndarray
    frames: np.ndarray
    kinds: np.ndarray


def make_layout(rng: np.random.Generator, preset: Preset, box: Triple, diameter: float) -> Layout:
    """Draw nuclei that fill `box` as the preset asks, pushed apart until they hardly overlap.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    preset : Preset
        The ranges.
    box : Triple
        Extent of the volume, xy voxels, ZYX. Centres may lie a little outside, so that borders cut nuclei.
    diameter : float
        Median diameter, xy voxels.
    """
    spacing = rng.uniform(*preset.spacing)
    centres, normals, confine = arrange(rng, preset, np.array(box), diameter)
    kinds = _draw_kinds(rng, preset, len(centres))
    axes = _draw_axes(rng, preset, kinds, diameter)
    frames = _draw_frames(rng, normals, rng.uniform(*preset.alignment))
    centres = _push_apart(Layout(centres, axes, frames, kinds), spacing, confine)
    return _with_daughters(rng, Layout(centres, axes, frames, kinds))


def _draw_kinds(rng: np.random.Generator, preset: Preset, n: int) -> np.ndarray:
    shares = (preset.bean_share, preset.dumbbell_share, preset.mitotic_share)
    edges = np.cumsum([rng.uniform(*share) for share in shares])
    draw = rng.random(n)
    return np.select([draw < edges[0], draw < edges[1], draw < edges[2]], [BEAN, DUMBBELL, MITOTIC], PLAIN)


def _draw_axes(rng: np.random.Generator, preset: Preset, kinds: np.ndarray, diameter: float) -> np.ndarray:
    n = len(kinds)
    spread = rng.uniform(*preset.size_spread)
    radius = diameter / 2 * np.exp(spread * np.clip(rng.standard_normal(n), -2.2, 2.2))
    # Each volume has its own kind of cell, each nucleus its own deviation from it.
    elongation = 1 + (rng.uniform(*preset.elongation) - 1) * rng.uniform(0.5, 1.5, n)
    flatness = 1 + (rng.uniform(*preset.flatness) - 1) * rng.uniform(0.6, 1.4, n)
    elongation = np.where(kinds == DUMBBELL, rng.uniform(1.7, 2.3, n), elongation)
    flatness = np.where(kinds == DUMBBELL, 1.0, flatness)
    # Condensed chromosomes: a plate or a lump of about half the volume.
    radius = np.where(kinds == MITOTIC, radius * rng.uniform(0.65, 0.9, n), radius)
    elongation = np.where(kinds == MITOTIC, rng.uniform(1.0, 1.3, n), elongation)
    flatness = np.where(kinds == MITOTIC, rng.uniform(1.0, 2.4, n), flatness)
    short = radius / np.cbrt(elongation * flatness**2)
    return np.stack([short * flatness * elongation, short * flatness, short], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(vectors[:, :1] ** 2 + vectors[:, 1:2] ** 2 + vectors[:, 2:] ** 2)


def _draw_frames(rng: np.random.Generator, normals: np.ndarray, alignment: float) -> np.ndarray:
    n = len(normals)
    random = _unit(rng.standard_normal((n, 3)))
    short = _unit(alignment * normals + (1.001 - alignment) * random)
    other = rng.standard_normal((n, 3))
    along = other[:, :1] * short[:, :1] + other[:, 1:2] * short[:, 1:2] + other[:, 2:] * short[:, 2:]
    long = _unit(other - along * short)
    return np.stack([long, np.cross(short, long), short], axis=1)


def _radius_towards(layout: Layout, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Distance from centre to surface of the ellipsoids `rows` along unit `directions`."""
    inverse_square = np.zeros(len(rows))
    for k in range(3):
        frame = layout.frames[rows, k]
        across = directions[:, 0] * frame[:, 0] + directions[:, 1] * frame[:, 1] + directions[:, 2] * frame[:, 2]
        inverse_square += (across / layout.axes[rows, k]) ** 2
    return 1 / np.sqrt(inverse_square)


def _push_apart(layout: Layout, spacing: float, confine: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Centres after pairs closer than their touching distance times `spacing` have pushed each other away."""
    centres = layout.centres.copy()
    longest = spacing * layout.axes[:, 0]
    for _ in range(RELAXATION_STEPS):
        pairs = cKDTree(centres).query_pairs(2 * longest.max(), output_type="ndarray")
        # The order of sums must not depend on the tree's.
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        first, second = pairs[:, 0], pairs[:, 1]
        delta = centres[second] - centres[first] + 1e-9
        distance = np.sqrt(delta[:, 0] ** 2 + delta[:, 1] ** 2 + delta[:, 2] ** 2)
        near = distance < longest[first] + longest[second]
        first, second, delta, distance = first[near], second[near], delta[near], distance[near]
        direction = delta / distance[:, None]
        touching = _radius_towards(layout, first, direction) + _radius_towards(layout, second, direction)
        push = 0.45 * np.maximum(spacing * touching - distance, 0)[:, None] * direction
        np.subtract.at(centres, first, push)
        np.add.at(centres, second, push)
        centres = confine(centres)
    return centres


def _with_daughters(rng: np.random.Generator, layout: Layout) -> Layout:
    """Split some mitotic nuclei into two parallel plates, each a nucleus of its own."""
    chosen = np.flatnonzero((layout.kinds == MITOTIC) & (rng.random(len(layout.kinds)) < 0.35))
    axes = layout.axes.copy()
    centres = layout.centres.copy()
    axes[chosen, 2] *= 0.6
    shift = layout.frames[chosen, 2] * (axes[chosen, 2] * rng.uniform(1.02, 2.0, len(chosen)))[:, None]
    centres[chosen] += shift
    return Layout(
        np.concatenate([centres, centres[chosen] - 2 * shift]),
        np.concatenate([axes, axes[chosen]]),
        np.concatenate([layout.frames, layout.frames[chosen]]),
        np.concatenate([layout.kinds, layout.kinds[chosen]]),
    )
