"""Patches for training: cut where nuclei are, at the scale the model is trained for, and augmented.

Every patch is a function of a pair and a random generator alone, so that a run can be repeated. All
changes of shape are one mapping of coordinates, so labels are read where the image is and stay exact.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nucseg.normalisation import normalise
from nucseg.training.pairs import Pair
from nucseg.volume import Region, Shape

OUTSIDE = -1

ELASTIC_GRID = 4
"""Random displacements per axis of a patch; between them, they are interpolated."""

ELASTIC_STRENGTH = 0.12
"""Standard deviation of a displacement in diameters of a nucleus."""


@dataclass(frozen=True)
class PatchPlan:
    """How patches are cut.

    Attributes
    ----------
    shape : tuple of int
        Of the patch in voxels. A plane (1, Y, X) is cut along XY, XZ or YZ, whichever comes.
    diameter : float
        Of the typical nucleus in the patch, in voxels, before the random zoom.
    zoom : float
        The random isotropic zoom lies between 1/zoom and zoom.
    zoom_z : float
        So does, for every second patch, a zoom of the Z axis alone: voxel sizes are often wrong or unknown.
    elastic : float
        Share of the patches that are bent smoothly.
    """

    shape: Shape
    diameter: float
    zoom: float = 1.0
    zoom_z: float = 1.0
    elastic: float = 0.0


def cut_patch(pair: Pair, plan: PatchPlan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One augmented patch.

    Returns
    -------
    image : numpy.ndarray
        float32, of the plan's shape, normalised to the pair's range, then augmented.
    labels : numpy.ndarray
        int32, same shape; `OUTSIDE` beyond the volume's border.
    """
    matrix = _random_matrix(pair, plan, rng)
    size, shape = np.array(plan.shape), np.array(pair.volume.shape)
    reach = np.abs(matrix) @ size / 2
    if rng.random() < 0.85:
        centre = pair.centres[rng.integers(len(pair.centres))] + rng.uniform(-0.5, 0.5, 3) * reach
    else:
        centre = rng.uniform(0, shape - 1)
    centre = np.where(2 * reach < shape, np.clip(centre, reach, shape - 1 - reach), (shape - 1) / 2)

    places = np.indices(plan.shape, np.float32) - (size - 1).reshape(3, 1, 1, 1) / 2
    margin = 0.0
    if rng.random() < plan.elastic:
        bend = _bend(plan, rng)
        places = places + bend
        margin = float(np.abs(bend).max())
    places = np.tensordot(matrix, places, 1) + centre.reshape(3, 1, 1, 1)
    reach = reach + np.abs(matrix).sum(axis=1) * margin

    low = np.clip(np.floor(centre - reach).astype(int) - 3, 0, shape - 1)
    high = np.clip(np.ceil(centre + reach).astype(int) + 4, low + 1, shape)
    window: Region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))  # type: ignore[assignment]
    places -= low.reshape(3, 1, 1, 1)
    image = normalise(pair.volume.data[window].astype(np.float32), *pair.range)
    shrink = np.linalg.norm(matrix, axis=1)
    image = ndimage.gaussian_filter(image, np.where(shrink > 1.3, 0.4 * shrink, 0), truncate=2)
    image = ndimage.map_coordinates(image, places, order=1, mode="mirror")
    labels = ndimage.map_coordinates(pair.labels[window], places, order=0, mode="constant", cval=OUTSIDE)
    return augment_intensity(image, rng), labels


def _random_matrix(pair: Pair, plan: PatchPlan, rng: np.random.Generator) -> np.ndarray:
    """Matrix from patch voxels to source voxels: scale, rotation, flips."""
    wanted = plan.diameter * plan.zoom ** rng.uniform(-1, 1)
    zoom = np.array(pair.zoom(wanted))
    if rng.random() < 0.5:
        zoom[0] *= plan.zoom_z ** rng.uniform(-1, 1)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.25:
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if plan.shape[0] == 1:
        turn = np.roll(turn, rng.integers(3), axis=0)
    flips = np.where(rng.random(3) < 0.5, -1.0, 1.0)
    return np.diag(1 / zoom) @ turn @ np.diag(flips)


def _bend(plan: PatchPlan, rng: np.random.Generator) -> np.ndarray:
    """Smooth random displacements (3, Z, Y, X) in voxels of the patch."""
    coarse = rng.normal(0, ELASTIC_STRENGTH * plan.diameter, (3, *(min(ELASTIC_GRID, n) for n in plan.shape)))
    zoom = [n / c for n, c in zip(plan.shape, coarse.shape[1:], strict=True)]
    return np.stack([ndimage.zoom(part.astype(np.float32), zoom, order=2, mode="nearest") for part in coarse])


def augment_intensity(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change contrast, brightness, sharpness, noise and missing slices of a normalised float32 patch at random."""
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.3, 3), truncate=3)
    if rng.random() < 0.5:
        image = np.sign(image) * np.abs(image) ** np.float32(1.5 ** rng.uniform(-1, 1))
    image = image * np.float32(1.8 ** rng.uniform(-1, 1)) + np.float32(rng.normal(0, 0.08))
    if rng.random() < 0.5:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        if rng.random() < 0.5:
            noise = ndimage.gaussian_filter(noise, rng.uniform(0.3, 0.8)) * 2
        image = image + noise * np.float32(rng.uniform(0, 0.15)) * np.sqrt(np.clip(image, 0.1, 1))
    if len(image) > 1 and rng.random() < 0.05:
        # A slice that was not taken, or taken twice.
        missing = rng.integers(1, len(image))
        image[missing] = image[missing - 1] if rng.random() < 0.5 else image.min()
    return image.astype(np.float32)
