"""Reading of TIFF, BigTIFF, OME-TIFF and ImageJ TIFF: one volume, of one channel and one time point.

Of a file with several image series the first one is read, and a warning is logged.
"""

import logging
import struct
from math import prod
from pathlib import Path

import numpy as np
from tifffile import TiffFile, TiffPageSeries

from nucseg.errors import NucsegError
from nucseg.formats.room import check_room
from nucseg.formats.selection import Selection, select
from nucseg.formats.voxel_size import voxel_size_of

_LOGGER = logging.getLogger(__name__)
_HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_DESCRIPTION = 270
# Larger uncompressed volumes stay on disk.
_MAP_FROM_BYTES = 1 << 28


def read_tiff(path: Path, channel: int, time_point: int) -> tuple[np.ndarray, list[float]]:
    """Read one channel of one time point of a TIFF file.

    Only the pages of this channel are read. An uncompressed, contiguous one above 256 MiB is
    memory-mapped instead, in the byte order of the file.

    Parameters
    ----------
    path : pathlib.Path
        Axes are any subset of TZCYX with Z; a stack of pages without names of axes is taken as Z.
    channel, time_point : int
        Counted from 0; -1 where there is only one. The colours of an RGB stack count as channels.

    Returns
    -------
    data : numpy.ndarray
        ZYX.
    voxel_size : list of float
        In µm, ZYX, as the file declares it; 0 where it does not.

    Raises
    ------
    NucsegError
        This is no TIFF file, it is cut off, or it is no single volume. A damaged one raises nearly anything.
    """
    _check_header(path)
    with TiffFile(path) as tif:
        if not _ends_well(tif):
            raise _truncated(path)
        series = tif.series[0]
        _check_complete(tif, series, path)
        if len(tif.series) > 1:
            _LOGGER.warning("%s holds %d images: only the first, %s, is read", path.name, len(tif.series), series.shape)
        selection = select(series.get_axes(squeeze=False), series.get_shape(squeeze=False), channel, time_point, path)
        return _load(series, selection, path), voxel_size_of(tif)


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(4)
    if not header:
        raise NucsegError(f"{path.name} is empty (0 bytes)", "copy or export the file again")
    if header not in _HEADERS:
        raise NucsegError(
            f"{path.name} is not a TIFF file, whatever its name says (it begins with {header!r})",
            "save the image as TIFF or OME-TIFF, for example in Fiji",
        )


def _load(series: TiffPageSeries, selection: Selection, path: Path) -> np.ndarray:
    dtype = np.dtype(series.dtype)
    if series.dataoffset is not None:
        file = series.keyframe.parent
        stored = np.memmap(
            file.filehandle.path, dtype.newbyteorder(file.byteorder), "r", series.dataoffset, selection.shape
        )
        data = selection.apply(stored)
        if data.nbytes <= _MAP_FROM_BYTES:
            data = np.ascontiguousarray(data, dtype)
    elif (numbers := selection.pages(len(series.pages))) is not None:
        shape = (len(numbers), *selection.plane_shape)
        check_room(prod(shape) * dtype.itemsize, path)
        data = np.empty(shape, dtype)
        for z, number in enumerate(numbers):
            page = series.pages[number]
            assert page is not None  # see _check_complete
            data[z] = selection.apply_to_page(page.asarray(), len(series.pages))
    else:
        check_room(series.nbytes, path)
        data = np.ascontiguousarray(selection.apply(series.asarray().reshape(selection.shape)))
    return data


def _check_complete(tif: TiffFile, series: TiffPageSeries, path: Path) -> None:
    """Raise an error where tifffile would fill with zeros or leave out what a truncated file lacks."""
    count = len(series.pages)
    pages = [page for page in series.pages if page is not None]
    if len(pages) < count:
        raise NucsegError(
            f"{path.name}: {count - len(pages)} of {count} planes are missing, or in another file that is not there",
            "export the volume again as one complete OME-TIFF",
        )
    complete = series.size >= _declared_size(tif, series)
    for page in pages:
        size = page.parent.filehandle.size
        ends = (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True))
        complete = complete and max(ends, default=0) <= size
    if series.dataoffset is not None:
        complete = complete and series.dataoffset + series.nbytes <= series.keyframe.parent.filehandle.size
    if not complete:
        raise _truncated(path)


def _truncated(path: Path) -> NucsegError:
    return NucsegError(f"{path.name} is truncated: its end is missing", "copy or export the file again")


def _ends_well(tif: TiffFile) -> bool:
    """Whether the chain of pages ends as it should, and the description, which is often at the end, is there."""
    if _description_is_cut(tif):
        return False
    position = tif.pages.next_page_offset
    if position is None:
        return True
    (following,) = _unpack(tif, position, tif.tiff.offsetformat)
    return following == 0


def _description_is_cut(tif: TiffFile) -> bool:
    """Whether the first page has a description beyond the end of the file: tifffile leaves out such a tag.

    Without it, the channels of an OME-TIFF would look like slices.
    """
    byteorder, count_format = tif.byteorder, "Q" if tif.is_bigtiff else "I"
    position = tif.pages.first.offset
    (tags,) = _unpack(tif, position, tif.tiff.tagnoformat)
    for i in range(tags):
        entry = position + tif.tiff.tagnosize + i * tif.tiff.tagsize
        code, _, length, offset = _unpack(tif, entry, f"{byteorder}HH{count_format}{count_format}")
        if code == _IMAGE_DESCRIPTION:
            return length > tif.tiff.offsetsize and offset + length > tif.filehandle.size
    return False


def _unpack(tif: TiffFile, position: int, layout: str) -> tuple[int, ...]:
    tif.filehandle.seek(position)
    return struct.unpack(layout, tif.filehandle.read(struct.calcsize(layout)))


def _declared_size(tif: TiffFile, series: TiffPageSeries) -> int:
    """Number of values that the description promises for the first series, 0 where it doesn't."""
    if tif.imagej_metadata:
        planes = [tif.imagej_metadata.get(key, 1) for key in ("frames", "slices", "channels")]
        return int(np.prod([int(n) for n in planes])) * series.keyframe.imagelength * series.keyframe.imagewidth
    if tif.shaped_metadata:
        return int(np.prod(tif.shaped_metadata[0]["shape"]))
    return 0
