"""A volume: a ZYX array with its voxel size and where it came from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
Region = tuple[slice, slice, slice]


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
