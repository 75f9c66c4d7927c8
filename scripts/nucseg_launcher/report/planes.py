"""Planes of a volume on disk, one at a time: a report never holds a large volume."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nucseg.volume import Shape


@dataclass(frozen=True)
class Planes:
    """A ZYX array that is read plane by plane.

    Attributes
    ----------
    shape : tuple of int
    read : callable
        The YX plane of a z.
    """

    shape: Shape
    read: Callable[[int], np.ndarray]


@contextmanager
def open_planes(
    path: Path, load: Callable[[], np.ndarray], channel: int = -1, time_point: int = -1
) -> Iterator[Planes]:
    """Open one channel of one time point of a file.

    Compressed TIFF with a plane per page, as label images are, is read page by page. Anything else is left to
    `load`: the readers of `nucseg.formats` map large uncompressed files instead of reading them.

    Parameters
    ----------
    path : pathlib.Path
    load : callable
        Reads the whole volume.
    channel, time_point : int
        Counted from 0; -1 where there is only one.

    Raises
    ------
    NucsegError
        The file is no single 3D volume. Broken files raise whatever their decoder does.
    """
    if path.is_file():
        from tifffile import TiffFile

        from nucseg.formats.selection import select

        with TiffFile(path) as tif:
            series = tif.series[0]
            axes, shape = series.get_axes(squeeze=False), series.get_shape(squeeze=False)
            selection = select(axes, shape, channel, time_point, path)
            numbers = selection.pages(len(series.pages)) if series.dataoffset is None else None
            if numbers is not None:

                def read(z: int) -> np.ndarray:
                    page = series.pages[numbers[z]]
                    if page is None:
                        raise ValueError(f"plane {z} is missing")
                    return selection.apply_to_page(page.asarray(), len(series.pages))

                yield Planes((len(numbers), *selection.plane_shape), read)
                return
    data = load()
    depth, height, width = data.shape
    yield Planes((depth, height, width), data.__getitem__)
