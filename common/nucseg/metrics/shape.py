"""Volume, surface area and sphericity of matched objects, and their errors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nucseg.machine import usable_cores
from nucseg.metrics.boundary import pair_boxes
from nucseg.metrics.matching import Pairs
from nucseg.morphometry.surface import sphericity, surface_area
from nucseg.volume import Triple


@dataclass(frozen=True)
class Measures:
    """Volume and surface of one object.

    Attributes
    ----------
    volume : float
        Voxels times the volume of one (µm³).
    area : float
        Of the surface, closed where the image ends (`nucseg.morphometry.surface.surface_area`, µm²).
    sphericity : float
        Area of the sphere of the same volume over the area (Wadell 1935), 1 for a sphere.
    """

    volume: float
    area: float
    sphericity: float


@dataclass(frozen=True)
class ShapeErrors:
    """Errors of one matched pair: positive where the prediction is larger.

    Attributes
    ----------
    volume, area : float
        (predicted - true) / true.
    sphericity : float
        Predicted - true.
    """

    volume: float
    area: float
    sphericity: float


def shape_of(mask: np.ndarray, voxel_size: Triple) -> Measures:
    """Measure the object in a ZYX mask (bool, not empty); voxel size ZYX in µm."""
    if not mask.any():
        raise ValueError("an empty mask has no shape")
    volume, area = float(np.count_nonzero(mask) * np.prod(voxel_size)), surface_area(mask, voxel_size)
    return Measures(volume, area, sphericity(volume, area))


def shape_errors(gt: np.ndarray, pred: np.ndarray, pairs: Pairs, voxel_size: Triple) -> list[ShapeErrors]:
    """Compare the shapes of matched objects.

    Parameters
    ----------
    gt, pred : numpy.ndarray
        ZYX label images, or memory maps of them.
    pairs : Pairs
        From `nucseg.metrics.matching.matched_pairs`.
    voxel_size : tuple of float
        ZYX in µm.

    Returns
    -------
    list of ShapeErrors
        In the order of the pairs; empty without any.
    """

    def compare(true: int, predicted: int, first: np.ndarray, stop: np.ndarray) -> ShapeErrors:
        box = tuple(map(slice, first, stop))
        of_true, of_pred = shape_of(gt[box] == true, voxel_size), shape_of(pred[box] == predicted, voxel_size)
        return ShapeErrors(
            of_pred.volume / of_true.volume - 1,
            of_pred.area / of_true.area - 1,
            of_pred.sphericity - of_true.sphericity,
        )

    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(compare, pairs.true.tolist(), pairs.pred.tolist(), *pair_boxes(gt, pred, pairs)))
