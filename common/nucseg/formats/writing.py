"""Writing of label images and volumes as OME-TIFF, in the form that every consumer of the results understands."""

import hashlib
import math
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from nucseg import __version__
from nucseg.atomic import atomic_path
from nucseg.volume import Triple

_STRIP_BYTES = 1 << 18


def write_labels(path: Path, labels: np.ndarray, voxel_size: Triple | None) -> None:
    """Write a label image: OME-TIFF with axes ZYX, zlib-compressed strips, never tiles.

    BIAFLOWS misreads tiled files and labels with gaps, and 32-bit ones too, so these are uint32 only
    past 65,535 labels. The same labels give the same bytes: no date, and the UUID that OME wants is
    made from the contents. Slices are converted one by one.

    Parameters
    ----------
    path : pathlib.Path
        The exact name; its ending does not matter.
    labels : numpy.ndarray
        ZYX, integers: 0 for background and 1 to N, each present.
    voxel_size : tuple of float or None
        In µm, ZYX.

    Raises
    ------
    ValueError
        The labels have gaps, or the array is not of 3 dimensions.
    NucsegError
        With `ENVIRONMENT`, when the file cannot be written. There is no file then.
    """
    if labels.ndim != 3:
        raise ValueError(f"labels are ZYX, not of shape {labels.shape}")
    largest, digest = _inspect(labels)
    dtype = np.dtype(np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32)
    _write(path, _slices(labels, dtype), labels.shape, dtype, voxel_size, digest)


def write_volume(path: Path, data: np.ndarray, voxel_size: Triple | None) -> None:
    """Write intensities in the same form: OME-TIFF, axes ZYX, their own dtype.

    Parameters
    ----------
    path : pathlib.Path
        The exact name.
    data : numpy.ndarray
        ZYX, of a dtype that OME-TIFF knows.
    voxel_size : tuple of float or None
        In µm, ZYX.

    Raises
    ------
    NucsegError
        With `ENVIRONMENT`, when the file cannot be written. There is no file then.
    """
    digest = hashlib.blake2b(f"{data.shape}{data.dtype}".encode(), digest_size=16)
    for plane in data:
        digest.update(np.ascontiguousarray(plane).data)
    _write(path, _slices(data, data.dtype), data.shape, data.dtype, voxel_size, digest.digest())


def _write(
    path: Path,
    planes: Iterator[np.ndarray],
    shape: tuple[int, ...],
    dtype: np.dtype,
    voxel_size: Triple | None,
    digest: bytes,
) -> None:
    metadata: dict[str, object] = {
        "axes": "ZYX",
        "UUID": str(uuid.UUID(bytes=digest)),
        "Creator": f"nucseg {__version__}",
    }
    if voxel_size is not None:
        for axis, edge in zip("ZYX", voxel_size, strict=True):
            metadata |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "µm"}
    row = shape[2] * dtype.itemsize
    with atomic_path(path) as part:
        tifffile.imwrite(
            part,
            planes,
            shape=shape,
            dtype=dtype,
            ome=True,
            bigtiff=math.prod(shape) * dtype.itemsize > 2**32 - 2**25,
            byteorder="<",
            photometric="minisblack",
            compression="zlib",
            rowsperstrip=max(1, min(shape[1], _STRIP_BYTES // row)),
            software=False,
            metadata=metadata,
        )


def _slices(labels: np.ndarray, dtype: np.dtype) -> Iterator[np.ndarray]:
    for plane in labels:
        yield np.ascontiguousarray(plane, dtype)


def _inspect(labels: np.ndarray) -> tuple[int, bytes]:
    """Largest label and 16 bytes that stand for the contents; checks that no label is missing."""
    digest = hashlib.blake2b(str(labels.shape).encode(), digest_size=16)
    present = np.zeros(1, bool)
    for plane in labels:
        if plane.min() < 0:
            raise ValueError("labels are not negative")
        largest = int(plane.max())
        if largest >= len(present):
            present = np.concatenate([present, np.zeros(largest + 1 - len(present), bool)])
        present[plane.ravel()] = True
        digest.update(np.ascontiguousarray(plane, "<u4").data)
    if not present[1:].all():
        raise ValueError(f"labels have gaps: {np.flatnonzero(~present[1:])[0] + 1} is missing below {len(present) - 1}")
    return len(present) - 1, digest.digest()
