"""The table of one image: a row per nucleus."""

import numpy as np

from nucseg.morphometry.axes import principal_axes
from nucseg.morphometry.sums import Sums, sum_up
from nucseg.morphometry.surface import sphericity, surface_areas
from nucseg.volume import Volume

Table = dict[str, np.ndarray]
"""Columns by name, all of one length."""


def measure(labels: np.ndarray, volume: Volume) -> Table:
    """Measure every nucleus.

    All but the surfaces comes from one pass, slab by slab. Lengths are µm where the voxel size is known, else voxels,
    for which voxels count as cubes; the names of the columns say which. Intensities are the raw ones of the file.

    Parameters
    ----------
    labels : numpy.ndarray
        ZYX, integers, 0 for background; gaps are allowed.
    volume : Volume
        Of the same shape.

    Returns
    -------
    dict of str to numpy.ndarray
        In ascending order of ``label``; `nucseg.morphometry.columns.COLUMNS` has the definition, unit and
        source of each column.

    Raises
    ------
    ValueError
        The shapes differ, or these are no labels.
    """
    if labels.shape != volume.shape:
        raise ValueError(f"labels of shape {labels.shape} do not belong to a volume of shape {volume.shape}")
    sums = sum_up(labels, volume.data)
    return {
        "label": sums.labels,
        "volume_voxels": sums.voxels,
        **_shape(labels, sums, volume),
        **_place(sums, volume),
        **_intensity(sums, volume),
    }


def _shape(labels: np.ndarray, sums: Sums, volume: Volume) -> Table:
    size, unit = volume.voxel_size or (1.0, 1.0, 1.0), _unit(volume)
    amount = sums.voxels * np.prod(size)
    area = surface_areas(labels, sums.labels, sums.first, sums.last, size)
    axes = principal_axes(sums.covariances(), size)
    diameter = np.cbrt(6 / np.pi * amount)
    table = {"volume_um3": amount} if volume.voxel_size else {}
    table |= {
        f"surface_area_{unit}2": area,
        "sphericity": sphericity(amount, area),
        f"equivalent_diameter_{unit}": diameter,
        f"equivalent_radius_{unit}": diameter / 2,
        "elongation": axes.elongation(),
        "flatness": axes.flatness(),
    }
    names = ("major", "middle", "minor")
    table |= {f"{name}_axis_{unit}": axes.lengths[:, k] for k, name in enumerate(names)}
    for k, name in enumerate(names):
        table |= {f"{name}_axis_{a}": axes.directions[:, k, i] for i, a in enumerate("zyx")}
    return table


def _place(sums: Sums, volume: Volume) -> Table:
    centroid, unit = sums.centroids(), _unit(volume)
    table: Table = {}
    if volume.voxel_size:
        table |= {f"centroid_{a}_um": c * edge for a, c, edge in zip("zyx", centroid.T, volume.voxel_size, strict=True)}
    table |= {f"centroid_{a}_voxels": c for a, c in zip("zyx", centroid.T, strict=True)}
    for i, axis in enumerate("zyx"):
        table |= {f"box_{axis}_first": sums.first[:, i], f"box_{axis}_last": sums.last[:, i]}
    nearest, distance = _nearest(centroid * (volume.voxel_size or 1.0))
    table[f"nearest_neighbour_{unit}"] = distance
    table["nearest_neighbour_label"] = np.where(nearest >= 0, sums.labels[nearest], 0)
    ends = np.array(volume.shape) - 1
    table["touches_border"] = ((sums.first == 0) | (sums.last == ends)).any(axis=1).astype(np.uint8)
    return table


def _intensity(sums: Sums, volume: Volume) -> Table:
    mean, std = sums.intensity / sums.voxels, np.sqrt(sums.deviation / sums.voxels)
    # Sums and extremes of whole numbers are whole.
    dtype = np.int64 if volume.data.dtype.kind in "ui" else np.float64
    return {
        "mean_intensity": mean,
        "total_intensity": sums.intensity.astype(dtype),
        "std_intensity": std,
        "cv_intensity": np.divide(std, mean, out=np.full(len(mean), np.nan), where=mean != 0),
        "min_intensity": sums.darkest.astype(dtype),
        "max_intensity": sums.brightest.astype(dtype),
    }


def _nearest(centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of each centroid's nearest other one, and the distance; -1 and nan for a lone one."""
    from scipy.spatial import KDTree

    count = len(centroids)
    if count < 2:
        return np.full(count, -1), np.full(count, np.nan)
    distances, rows = KDTree(centroids).query(centroids, k=2)
    # Two nuclei may share their centroid, and then a nucleus itself need not come first.
    other = np.where(rows[:, 0] == np.arange(count), 1, 0)
    return np.take_along_axis(rows, other[:, None], 1)[:, 0], distances[np.arange(count), other]


def _unit(volume: Volume) -> str:
    return "um" if volume.voxel_size else "voxels"
