"""Reading of TIFF, BigTIFF, OME-TIFF and ImageJ TIFF: one volume, of one channel and one time point.

Of a file with several image series the first one is read, and a warning is logged.
"""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tifffile import TiffFile, TiffPageSeries

from nucseg.errors import NucsegError
from nucseg.formats.selection import Selection, select
from nucseg.formats.voxel_size import complete_voxel_size, voxel_size_of
from nucseg.volume import Triple, Volume

_LOGGER = logging.getLogger(__name__)
_HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_DESCRIPTION = 270
# Larger uncompressed volumes stay on disk.
_MAP_FROM_BYTES = 1 << 28
_SLAB_VOXELS = 1 << 24


def read_volume(path: Path, *, channel: int = -1, time_point: int = -1, voxel_size: Triple = (0.0, 0.0, 0.0)) -> Volume:
    """Read one channel of one time point of a TIFF file.

    Only the pages of this channel are read. An uncompressed, contiguous one above 256 MiB is
    memory-mapped instead, in the byte order of the file.

    Parameters
    ----------
    path : pathlib.Path
        Axes are any subset of TZCYX with Z; a stack of pages without names of axes is taken as Z.
    channel, time_point : int
        Counted from 0; -1 where there is only one. The colours of an RGB stack count as channels.
    voxel_size : tuple of float
        In µm, ZYX, instead of what the file says; 0 for the file's own.

    Returns
    -------
    Volume
        At least two slices, finite real numbers. bool becomes uint8.

    Raises
    ------
    NucsegError
        What is wrong with the file, or which choice is missing.
    """
    data, declared = _read(path, channel, time_point)
    if data.dtype.kind == "c":
        raise NucsegError(f"{path.name} holds complex numbers", "save their magnitude as a real image")
    if data.dtype.kind == "f":
        _check_finite(data, path)
    return Volume(data, complete_voxel_size(declared, voxel_size, path), path)


def read_labels(path: Path) -> np.ndarray:
    """Read a label image, such as ground truth.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF file as for `read_volume`, with one channel and one time point.

    Returns
    -------
    numpy.ndarray
        ZYX, unsigned integers. Floats that are whole numbers become uint32.

    Raises
    ------
    NucsegError
        As for `read_volume`, or for negative or broken numbers.
    """
    data, _ = _read(path, -1, -1)
    if data.dtype.kind == "u":
        return data
    hint = "give a label image: 0 for background, and one whole number per nucleus"
    if data.dtype.kind not in "if":
        raise NucsegError(f"{path.name} holds {data.dtype}, which are no labels", hint)
    target = np.dtype(f"u{data.dtype.itemsize}") if data.dtype.kind == "i" else np.dtype(np.uint32)
    labels = np.empty(data.shape, target)
    for z, plane in enumerate(data):
        if not plane.min() >= 0:
            raise NucsegError(f"{path.name} holds negative labels or NaN", hint)
        if data.dtype.kind == "f" and (plane.max() >= 2**32 or np.any(plane != np.floor(plane))):
            raise NucsegError(f"{path.name} holds numbers that are no labels", hint)
        labels[z] = plane
    return labels


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what a reader raises on a broken file into a message."""
    try:
        yield
    except (NucsegError, MemoryError):
        raise
    except OSError as error:
        raise NucsegError(
            f"cannot read {path.name}: {error.strerror or error}", "check that the file is there and may be read"
        ) from error
    except Exception as error:  # decoders raise nearly anything on broken files
        raise NucsegError(
            f"{path.name} is truncated or damaged ({error})",
            "copy or export the file again, or save it as TIFF in Fiji",
        ) from error


def _read(path: Path, channel: int, time_point: int) -> tuple[np.ndarray, list[float]]:
    """ZYX array and declared voxel size."""
    with _explained(path):
        _check_header(path)
        with TiffFile(path) as tif:
            if not _ends_well(tif):
                raise _truncated(path)
            series = tif.series[0]
            _check_complete(tif, series, path)
            if len(tif.series) > 1:
                _LOGGER.warning(
                    "%s holds %d images: only the first, %s, is read", path.name, len(tif.series), series.shape
                )
            selection = select(
                series.get_axes(squeeze=False), series.get_shape(squeeze=False), channel, time_point, path
            )
            return _load(series, selection), voxel_size_of(tif)


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


def _load(series: TiffPageSeries, selection: Selection) -> np.ndarray:
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
        data = np.empty((len(numbers), *selection.plane_shape), dtype)
        for z, number in enumerate(numbers):
            page = series.pages[number]
            assert page is not None  # see _check_complete
            data[z] = selection.apply_to_page(page.asarray(), len(series.pages))
    else:
        data = np.ascontiguousarray(selection.apply(series.asarray().reshape(selection.shape)))
    return data.astype(np.uint8) if dtype.kind == "b" else data


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


def _check_finite(data: np.ndarray, path: Path) -> None:
    planes = max(1, _SLAB_VOXELS // data[0].size)
    for z in range(0, len(data), planes):
        with np.errstate(over="ignore"):
            finite = np.isfinite(data[z : z + planes].astype(np.float32))
        if not finite.all():
            plane = z + int(np.flatnonzero(~finite.all(axis=(1, 2)))[0])
            raise NucsegError(
                f"{path.name} holds NaN, infinity or numbers beyond float32 (first in slice {plane})",
                "replace them, or save the image as 16-bit",
            )
