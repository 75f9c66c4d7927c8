"""Where nuclei start before they push each other apart: all over, in a layer, on a shell, in clumps, in files.

Lengths are in xy voxels along all three axes, ZYX.
"""

from collections.abc import Callable

import numpy as np

from nucseg.simulation.presets import Preset

Arrangement = tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]


def arrange(rng: np.random.Generator, preset: Preset, box: np.ndarray, diameter: float) -> Arrangement:
    """Draw one of the preset's arrangements.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    preset : Preset
        The ranges.
    box : numpy.ndarray
        Extent of the volume, (3,).
    diameter : float
        Median nucleus diameter.

    Returns
    -------
    centres : numpy.ndarray
        (n, 3), n >= 2.
    normals : numpy.ndarray
        (n, 3) unit vectors that flat nuclei lie across.
    confine : callable
        Takes moved centres back to where the arrangement allows them.
    """
    name = preset.arrangements[rng.integers(len(preset.arrangements))]
    fill = rng.uniform(*preset.fill)
    return _ARRANGEMENTS[name](rng, box, diameter, fill)


def _count(rng: np.random.Generator, number: float) -> int:
    return max(2, int(rng.poisson(number)))


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    return vector / np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)


def _clip_to(box: np.ndarray, diameter: float) -> Callable[[np.ndarray], np.ndarray]:
    margin = 0.35 * diameter
    return lambda centres: np.clip(centres, -margin, box + margin)


def _volume(rng: np.random.Generator, box: np.ndarray, diameter: float, fill: float) -> Arrangement:
    margin = 0.35 * diameter
    space = float(np.prod(box + 2 * margin))
    n = _count(rng, fill * space / (np.pi / 6 * diameter**3))
    centres = rng.uniform(-margin, box + margin, (n, 3))
    return centres, np.tile(_direction(rng), (n, 1)), _clip_to(box, diameter)


def _layer(rng: np.random.Generator, box: np.ndarray, diameter: float, fill: float) -> Arrangement:
    margin = 0.4 * diameter
    low, high = np.array([-margin, -margin]), box[1:] + margin
    # Flattened nuclei are wider than the sphere of their volume.
    n = _count(rng, fill * float(np.prod(high - low)) / (np.pi / 4 * (1.1 * diameter) ** 2))
    plane = rng.uniform(low, high, (n, 2))
    slope, bend = rng.uniform(-0.12, 0.12, 2), rng.uniform(-0.25, 0.25, 2)
    middle = box[0] * rng.uniform(0.35, 0.65)
    layers = 2 if rng.random() < 0.2 else 1
    lift = np.where(rng.random(n) < 0.5, -0.5, 0.5) * diameter * (layers - 1)
    lift = lift + rng.uniform(-0.12, 0.12, n) * diameter

    def confine(centres: np.ndarray) -> np.ndarray:
        yx = np.clip(centres[:, 1:], low, high)
        away = (yx - box[1:] / 2) / box[1:]
        tilt = slope[0] * away[:, 0] + slope[1] * away[:, 1] + bend[0] * away[:, 0] ** 2 + bend[1] * away[:, 1] ** 2
        z = middle + lift + 0.5 * box[0] * tilt
        # Neighbours may slide over each other a little, but not leave the layer.
        z = np.clip(centres[:, 0], z - 0.15 * diameter, z + 0.15 * diameter)
        return np.concatenate([z[:, None], yx], axis=1)

    centres = confine(np.concatenate([np.full((n, 1), middle), plane], axis=1))
    return centres, np.tile([1.0, 0.0, 0.0], (n, 1)), confine


def _shell(rng: np.random.Generator, box: np.ndarray, diameter: float, fill: float) -> Arrangement:
    middle = box * rng.uniform(0.2, 0.8, 3)
    radii = max(box) * rng.uniform(0.25, 0.6) * rng.uniform(0.8, 1.25, 3)
    # On a surface the share of the area counts, which `fill` (of a volume) is too small for.
    cover = rng.uniform(0.2, 0.85)
    n = _count(rng, cover * 4 * np.pi * float(np.cbrt(np.prod(radii))) ** 2 / (np.pi / 4 * diameter**2))
    directions = rng.standard_normal((n, 3))
    depth = 1 - rng.uniform(0, 0.3) * rng.random(n) ** 2

    def confine(centres: np.ndarray) -> np.ndarray:
        away = (centres - middle) / radii
        length = np.sqrt(away[:, 0] ** 2 + away[:, 1] ** 2 + away[:, 2] ** 2)
        return middle + away * (depth / np.maximum(length, 1e-6))[:, None] * radii

    centres = confine(middle + directions * radii)
    inside = np.all((centres > -0.5 * diameter) & (centres < box + 0.5 * diameter), axis=1)
    if np.count_nonzero(inside) < 2:
        return _volume(rng, box, diameter, fill)
    centres, depth = centres[inside], depth[inside]
    normals = (centres - middle) / radii
    normals /= np.sqrt(normals[:, :1] ** 2 + normals[:, 1:2] ** 2 + normals[:, 2:] ** 2)
    return centres, normals, confine


def _clusters(rng: np.random.Generator, box: np.ndarray, diameter: float, fill: float) -> Arrangement:
    n = _count(rng, fill * float(np.prod(box)) / (np.pi / 6 * diameter**3))
    middles = rng.uniform(0.1 * box, 0.9 * box, (int(rng.integers(1, 7)), 3))
    home = middles[rng.integers(len(middles), size=n)]
    clump = 0.3 * diameter * np.cbrt(n / len(middles)) + 0.2 * diameter
    centres = home + rng.standard_normal((n, 3)) * clump
    clip = _clip_to(box, diameter)
    pull = rng.uniform(0.01, 0.06)
    return centres, np.tile(_direction(rng), (n, 1)), lambda moved: clip(moved + pull * (home - moved))


def _files(rng: np.random.Generator, box: np.ndarray, diameter: float, fill: float) -> Arrangement:
    step = diameter * np.array([rng.uniform(1.05, 1.7), rng.uniform(1.1, 2.0), rng.uniform(1.1, 2.0)])
    along = _direction(rng)
    across = np.cross(along, _direction(rng))
    across /= np.sqrt(across[0] ** 2 + across[1] ** 2 + across[2] ** 2)
    third = np.cross(along, across)
    reach = [int(0.9 * max(box) / s) + 1 for s in step]
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1.0) for r in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    # Each file starts at its own phase, as cells of neighbouring files do.
    grid[:, 0] += rng.random((2 * reach[1] + 1, 2 * reach[2] + 1))[
        (grid[:, 1] + reach[1]).astype(int), (grid[:, 2] + reach[2]).astype(int)
    ]
    grid = (grid + rng.uniform(-0.2, 0.2, grid.shape)) * step
    centres = box / 2 + grid[:, :1] * along + grid[:, 1:2] * across + grid[:, 2:] * third
    inside = np.all((centres > -0.35 * diameter) & (centres < box + 0.35 * diameter), axis=1)
    centres = centres[inside]
    lattice_fill = np.pi / 6 * diameter**3 / float(np.prod(step))
    centres = centres[rng.random(len(centres)) < min(1.0, 1.5 * fill / lattice_fill)]
    if len(centres) < 2:
        return _volume(rng, box, diameter, fill)
    return centres, np.tile(across, (len(centres), 1)), _clip_to(box, diameter)


_ARRANGEMENTS = {"volume": _volume, "layer": _layer, "shell": _shell, "clusters": _clusters, "files": _files}
