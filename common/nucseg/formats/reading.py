"""Reading of a volume or a label image, whatever it is stored as."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nucseg.errors import NucsegError
from nucseg.formats.listing import is_zarr
from nucseg.formats.tiff import read_tiff
from nucseg.formats.voxel_size import complete_voxel_size
from nucseg.params import ImageParams
from nucseg.volume import Triple, Volume, slabs

_SLAB_VOXELS = 1 << 24


def read_volume(path: Path, *, channel: int = -1, time_point: int = -1, voxel_size: Triple = (0.0, 0.0, 0.0)) -> Volume:
    """Read one channel of one time point of an image.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF file (`nucseg.formats.tiff`) or an OME-Zarr folder (`nucseg.formats.omezarr`). Axes are
        any subset of TZCYX with Z; a stack of pages without names of axes is taken as Z.
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


def read_image(path: Path, params: ImageParams) -> Volume:
    """`read_volume` as the parameters say."""
    return read_volume(
        path,
        channel=params.nuc_channel,
        time_point=params.time_point,
        voxel_size=(params.voxel_size_z, params.voxel_size_y, params.voxel_size_x),
    )


def read_labels(path: Path) -> np.ndarray:
    """Read a label image, such as ground truth.

    Parameters
    ----------
    path : pathlib.Path
        As for `read_volume`, with one channel and one time point.

    Returns
    -------
    numpy.ndarray
        ZYX, unsigned integers in the machine's byte order. Floats that are whole numbers become uint32.

    Raises
    ------
    NucsegError
        As for `read_volume`, or for negative or broken numbers.
    """
    return read_sized_labels(path)[0]


def read_sized_labels(path: Path) -> tuple[np.ndarray, Triple | None]:
    """`read_labels`, and the voxel size in µm, ZYX, that the file declares."""
    data, declared = _read(path, -1, -1)
    return _as_labels(data, path), complete_voxel_size(declared, (0.0, 0.0, 0.0), path)


def _as_labels(data: np.ndarray, path: Path) -> np.ndarray:
    if data.dtype.kind == "u":
        return data.astype(data.dtype.newbyteorder("="), copy=False)
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


def _read(path: Path, channel: int, time_point: int) -> tuple[np.ndarray, list[float]]:
    """ZYX array and declared voxel size."""
    with explained(path):
        if is_zarr(path):
            from nucseg.formats.omezarr import read_zarr

            data, declared = read_zarr(path, channel, time_point)
        else:
            data, declared = read_tiff(path, channel, time_point)
    return (data.astype(np.uint8) if data.dtype.kind == "b" else data), declared


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what a reader raises on a broken image into a message."""
    try:
        yield
    except (NucsegError, MemoryError):
        raise
    except Exception as error:  # decoders raise nearly anything on broken files, OSError without a number too
        if isinstance(error, OSError) and error.errno is not None:
            cause, hint = f"cannot read {path.name}: {error.strerror}", "check that it is there and may be read"
        else:
            cause = f"{path.name} is truncated or damaged ({error})"
            hint = "copy or export it again, or save it as TIFF in Fiji"
        raise NucsegError(cause, hint) from error


def _check_finite(data: np.ndarray, path: Path) -> None:
    for slab in slabs(data.shape, _SLAB_VOXELS):
        with np.errstate(over="ignore"):
            finite = np.isfinite(data[slab].astype(np.float32))
        if not finite.all():
            plane = slab.start + int(np.flatnonzero(~finite.all(axis=(1, 2)))[0])
            raise NucsegError(
                f"{path.name} holds NaN, infinity or numbers beyond float32 (first in slice {plane})",
                "replace them, or save the image as 16-bit",
            )
