"""A volume: a ZYX array with its voxel size and where it came from."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
Region = tuple[slice, slice, slice]


def slabs(shape: Sequence[int], voxels: int) -> Iterator[slice]:
    """Divide an array of this shape along its first axis: slices of at most so many voxels, or of one plane.

    Examples
    --------
    >>> list(slabs((5, 10, 10), 200))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    planes = max(1, voxels // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], planes):
        yield slice(start, min(start + planes, shape[0]))


@dataclass(frozen=True, eq=False)
class Volume:
    """One channel of one time point.

    Attributes
    ----------
    data : numpy.ndarray
        Intensities, axes ZYX, in the dtype of the file. May be a memory map: read it by region.
    voxel_size : tuple of float or None
        Size of a voxel in µm, ZYX; None when neither the file nor the user says it.
    source : pathlib.Path
        The file it was read from.
    """

    data: np.ndarray
    voxel_size: Triple | None
    source: Path

    @property
    def shape(self) -> Shape:
        """Number of voxels along Z, Y and X."""
        z, y, x = self.data.shape
        return z, y, x

    @property
    def is_constant(self) -> bool:
        """Whether all voxels have the same intensity."""
        first = self.data[0, 0, 0]
        return all(bool((plane == first).all()) for plane in self.data)
