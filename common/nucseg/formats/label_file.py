"""Label images read in slabs of planes: several large ones can be walked through side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tifffile import TiffFile, TiffPage

from nucseg.formats.reading import explained, read_sized_labels
from nucseg.formats.voxel_size import complete_voxel_size, voxel_size_of
from nucseg.volume import Shape, Triple, slabs

_SLAB_VOXELS = 1 << 24


@dataclass(frozen=True)
class LabelFile:
    """A ZYX label image that need not be in memory.

    Attributes
    ----------
    shape : tuple of int
        ZYX.
    voxel_size : tuple of float or None
        As the file says, in µm, ZYX.
    planes : callable
        From the first and the stop plane to an array of unsigned integers. Raises `NucsegError` where the file is
        damaged: opening it has only read its header.
    """

    shape: Shape
    voxel_size: Triple | None
    planes: Callable[[int, int], np.ndarray]

    def slabs(self) -> Iterator[np.ndarray]:
        """The planes in slabs; images of one shape have the same slabs."""
        for slab in slabs(self.shape, _SLAB_VOXELS):
            yield self.planes(slab.start, slab.stop)

    def read(self) -> np.ndarray:
        """All planes."""
        return self.planes(0, self.shape[0])


def open_labels(path: Path) -> LabelFile:
    """Open a label image.

    A file with one plane per page, as `nucseg.formats.write_labels` writes it, is read page by page when its
    planes are asked for. Any other file that `nucseg.formats.read_labels` understands is read at once.

    Raises
    ------
    NucsegError
        As `nucseg.formats.read_labels`.
    """
    return _paged(path) or _in_memory(*read_sized_labels(path))


def no_labels(shape: Shape) -> LabelFile:
    """An image without nuclei."""
    return _in_memory(np.broadcast_to(np.uint16(0), shape), None)


def _in_memory(labels: np.ndarray, voxel_size: Triple | None) -> LabelFile:
    z, y, x = labels.shape
    return LabelFile((z, y, x), voxel_size, lambda first, stop: labels[first:stop])


def _paged(path: Path) -> LabelFile | None:
    """A file that can be read page by page; None for any other."""
    try:
        with TiffFile(path) as tif:
            series = tif.series[0]
            page = series.pages[0]
            if series.axes != "ZYX" or len(tif.pages) != series.shape[0] or not isinstance(page, TiffPage):
                return None
            if page.shape != series.shape[1:] or series.dtype is None or series.dtype.kind != "u":
                return None
            z, y, x = series.shape
            size = complete_voxel_size(voxel_size_of(tif), (0.0, 0.0, 0.0), path)
    except Exception:  # `read_labels` says what is wrong with a broken file
        return None

    def planes(first: int, stop: int) -> np.ndarray:
        with explained(path), TiffFile(path) as tif:
            return tif.asarray(key=range(first, stop), series=0).reshape(stop - first, y, x)

    return LabelFile((z, y, x), size, planes)
