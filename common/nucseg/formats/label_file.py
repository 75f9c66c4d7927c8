"""A label image on disk, read in slabs of planes: several large ones can be walked through side by side."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tifffile import TiffFile, TiffPage

from nucseg.formats.reading import read_labels
from nucseg.volume import Shape

_SLAB_VOXELS = 1 << 24


class LabelFile:
    """A ZYX label image.

    One plane per page of unsigned integers, as `nucseg.formats.write_labels` writes it, is read plane by plane.
    Any other file that `nucseg.formats.read_labels` understands is read as a whole.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    shape : tuple of int
        ZYX.

    Raises
    ------
    NucsegError
        As `nucseg.formats.read_labels`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._whole: np.ndarray | None = None
        shape = _paged_shape(path)
        if shape is None:
            self._whole = read_labels(path)
            z, y, x = self._whole.shape
            shape = (z, y, x)
        self.shape: Shape = shape

    @property
    def slab_planes(self) -> int:
        """Planes of a slab; files of one shape have the same slabs."""
        return max(1, _SLAB_VOXELS // max(1, self.shape[1] * self.shape[2]))

    def slabs(self) -> Iterator[np.ndarray]:
        """The planes, in slabs of at most `slab_planes`."""
        step = self.slab_planes
        if self._whole is not None:
            for z in range(0, self.shape[0], step):
                yield self._whole[z : z + step]
            return
        with TiffFile(self.path) as tif:
            for z in range(0, self.shape[0], step):
                yield tif.asarray(key=range(z, min(z + step, self.shape[0]))).reshape(-1, *self.shape[1:])


def _paged_shape(path: Path) -> Shape | None:
    """Shape of a file that can be read page by page; None for any other."""
    try:
        with TiffFile(path) as tif:
            series = tif.series[0]
            page = series.pages[0]
            if series.axes != "ZYX" or len(tif.series) > 1 or not isinstance(page, TiffPage):
                return None
            z, y, x = series.shape
            paged = len(tif.pages) == z and page.shape == (y, x) and page.dtype is not None and page.dtype.kind == "u"
            return (z, y, x) if paged else None
    except Exception:  # `read_labels` says what is wrong with a broken file
        return None
