"""Volume, surface area and sphericity of matched objects, and their errors."""

from dataclasses import dataclass

import numpy as np

from nucseg.metrics.boundary import VoxelSize, pair_crops
from nucseg.metrics.matching import Pairs
from nucseg.morphometry.surface import sphericity, surface_area


@dataclass(frozen=True)
class Shape:
    """Measures of one object.

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


def shape_of(mask: np.ndarray, voxel_size: VoxelSize) -> Shape:
    """Measure the object in a ZYX mask (bool, not empty); voxel size ZYX in µm."""
    if not mask.any():
        raise ValueError("an empty mask has no shape")
    volume, area = float(np.count_nonzero(mask) * np.prod(voxel_size)), surface_area(mask, voxel_size)
    return Shape(volume, area, sphericity(volume, area))


def shape_errors(gt: np.ndarray, pred: np.ndarray, pairs: Pairs, voxel_size: VoxelSize) -> list[ShapeErrors]:
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
    errors = []
    for masks in pair_crops(gt, pred, pairs):
        true, predicted = (shape_of(mask, voxel_size) for mask in masks)
        errors.append(
            ShapeErrors(
                predicted.volume / true.volume - 1,
                predicted.area / true.area - 1,
                predicted.sphericity - true.sphericity,
            )
        )
    return errors
