"""One row of measurements per nucleus."""

import csv
from pathlib import Path

import numpy as np

from nucseg.atomic import atomic_path
from nucseg.volume import Volume

Table = dict[str, np.ndarray]
"""Columns by name, all of one length."""

_SLAB_VOXELS = 1 << 22


def measure(labels: np.ndarray, volume: Volume) -> Table:
    """Measure every nucleus in one pass, slab by slab.

    Lengths are voxels, with voxel centres at integers, and µm as well where the voxel size is known;
    the names of the columns say which. Intensities are the raw ones of the file.

    Parameters
    ----------
    labels : numpy.ndarray
        ZYX, integers, 0 for background; gaps are allowed.
    volume : Volume
        Of the same shape.

    Returns
    -------
    dict of str to numpy.ndarray
        ``label``, ``volume_voxels``, ``centroid_{z,y,x}_voxels``, ``box_{z,y,x}_{first,last}``
        (inclusive), ``mean_intensity``, ``total_intensity``, ``touches_border`` (0 or 1, in X, Y or Z), and
        with a voxel size ``volume_um3``, ``centroid_{z,y,x}_um`` (from the centre of the first voxel)
        and ``equivalent_diameter_um``, of the sphere of the same volume; without one
        ``equivalent_diameter_voxels``.

    Raises
    ------
    ValueError
        The shapes differ.
    """
    if labels.shape != volume.shape:
        raise ValueError(f"labels of shape {labels.shape} do not belong to a volume of shape {volume.shape}")
    sums = _Sums(_largest(labels))
    planes = max(1, _SLAB_VOXELS // max(1, labels[0].size))
    for z in range(0, len(labels), planes):
        sums.add(z, labels[z : z + planes], volume.data[z : z + planes])
    return _columns(sums, volume)


def write_table(path: Path, table: Table) -> None:
    """Write a table as CSV: names of columns first, then one row per nucleus.

    Floats have 7 significant digits, as much as their inputs carry.

    Raises
    ------
    NucsegError
        With `ENVIRONMENT`, when the file cannot be written. There is no file then.
    """
    columns = [
        [f"{v:.7g}" for v in column] if column.dtype.kind == "f" else column.tolist() for column in table.values()
    ]
    with atomic_path(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*columns, strict=True))


class _Sums:
    """Sums over the voxels of each label; index 0 is the background and is not filled."""

    def __init__(self, largest: int) -> None:
        n = largest + 1
        self.count = np.zeros(n, np.int64)
        self.intensity = np.zeros(n)
        self.position = np.zeros((3, n))
        self.first = np.full((3, n), np.iinfo(np.int64).max)
        self.last = np.full((3, n), -1)

    def add(self, offset: int, labels: np.ndarray, data: np.ndarray) -> None:
        """Add a slab that begins at slice `offset`."""
        n = len(self.count)
        voxels = np.flatnonzero(labels)
        label = labels.ravel()[voxels].astype(np.intp)
        self.count += np.bincount(label, minlength=n)
        self.intensity += np.bincount(label, np.ravel(data)[voxels], minlength=n)
        for axis, coordinate in enumerate(np.unravel_index(voxels, labels.shape)):
            if axis == 0:
                coordinate = coordinate + offset
            self.position[axis] += np.bincount(label, coordinate, minlength=n)
            np.minimum.at(self.first[axis], label, coordinate)
            np.maximum.at(self.last[axis], label, coordinate)


def _largest(labels: np.ndarray) -> int:
    return max((int(plane.max()) for plane in labels), default=0)


def _columns(sums: _Sums, volume: Volume) -> Table:
    label = np.flatnonzero(sums.count)
    count, first, last = sums.count[label], sums.first[:, label], sums.last[:, label]
    centroid = sums.position[:, label] / count
    table: Table = {"label": label, "volume_voxels": count}
    size = volume.voxel_size
    if size is None:
        table["equivalent_diameter_voxels"] = np.cbrt(6 / np.pi * count)
    else:
        table["volume_um3"] = count * np.prod(size)
        table["equivalent_diameter_um"] = np.cbrt(6 / np.pi * table["volume_um3"])
        table |= {f"centroid_{a}_um": c * edge for a, c, edge in zip("zyx", centroid, size, strict=True)}
    table |= {f"centroid_{a}_voxels": c for a, c in zip("zyx", centroid, strict=True)}
    for axis, name in enumerate("zyx"):
        table |= {f"box_{name}_first": first[axis], f"box_{name}_last": last[axis]}
    table["mean_intensity"] = sums.intensity[label] / count
    total = sums.intensity[label]
    table["total_intensity"] = total.astype(np.int64) if volume.data.dtype.kind in "ui" else total
    ends = np.array(volume.shape)[:, None] - 1
    table["touches_border"] = ((first == 0) | (last == ends)).any(axis=0).astype(np.uint8)
    return table
