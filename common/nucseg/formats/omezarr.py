"""Reading of OME-Zarr folders (0.1 to 0.5, Zarr formats 2 and 3): one volume, of one channel and one time point.

The full resolution of the first multiscale image is read, chunk by chunk, and of it only the chosen
channel and time point. A folder that bioformats2raw made is read where it holds a single image.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc
from numcodecs.errors import UnknownCodecError
from zarr.codecs import BloscCodec

from nucseg.errors import NucsegError
from nucseg.formats.room import check_room
from nucseg.formats.selection import Selection, select
from nucseg.formats.voxel_size import micrometres
from nucseg.volume import Region, Shape

_LOGGER = logging.getLogger(__name__)
_METADATA = ("zarr.json", ".zgroup", ".zarray")
_EARLY_AXES = "TCZYX"
_SLAB_VOXELS = 1 << 24
_COPY_AGAIN = "copy the whole folder again, with its hidden files, or export the image again as OME-Zarr or TIFF"


def read_zarr(path: Path, channel: int, time_point: int) -> tuple[np.ndarray, list[float]]:
    """Read one channel of one time point of an OME-Zarr folder.

    Parameters
    ----------
    path : pathlib.Path
        The folder; its axes are any subset of TZCYX with Z.
    channel, time_point : int
        Counted from 0; -1 where there is only one.

    Returns
    -------
    data : numpy.ndarray
        ZYX, in memory.
    voxel_size : list of float
        In µm, ZYX; 0 where the image does not declare a scale with a unit of length.

    Raises
    ------
    NucsegError
        This is no OME-Zarr folder, it holds several images, or it is no single volume. A damaged one
        raises nearly anything.
    """
    multiscale, group = _find_image(path)
    dataset = multiscale["datasets"][0]
    try:
        array = group[dataset["path"]]
    except KeyError:
        raise NucsegError(f"{path.name} lacks its full resolution, {dataset['path']}", _COPY_AGAIN) from None
    except UnknownCodecError as error:
        raise NucsegError(
            f"{path.name} is compressed in a way that can't be read here ({error})", "save it with zstd, blosc or gzip"
        ) from error
    if not isinstance(array, zarr.Array):
        raise NucsegError(f"{path.name} has a group where its full resolution should be", _COPY_AGAIN)
    axes = _axes(multiscale, array.ndim, path)
    selection = select("".join(map(_letter, axes)), array.shape, channel, time_point, path)
    _check_chunks(array, selection, path)
    return _load(array, selection, path), list(selection.zyx(_edges(axes, dataset, multiscale)))


def _find_image(path: Path) -> tuple[Mapping[str, Any], zarr.Group]:
    """The description of a multiscale image, and the group it lies in."""
    if not any(entry.name in _METADATA for entry in path.iterdir()):
        raise NucsegError(f"{path.name} is no Zarr folder (it holds no zarr.json and no .zgroup)", _COPY_AGAIN)
    root = zarr.open(path, mode="r", use_consolidated=False)
    if isinstance(root, zarr.Array):
        raise NucsegError(
            f"{path.name} is a Zarr array without OME-Zarr metadata: its axes are unknown", "save it as OME-Zarr"
        )
    described = _metadata(root)
    if "multiscales" not in described:
        root = _only_image(root, described, path)
        described = _metadata(root)
    multiscales = described.get("multiscales")
    if not multiscales:
        raise NucsegError(f"{path.name} has no OME-Zarr metadata (multiscales)", _COPY_AGAIN)
    if len(multiscales) > 1:
        _LOGGER.warning("%s holds %d multiscale images: only the first is read", path.name, len(multiscales))
    return multiscales[0], root


def _metadata(group: zarr.Group) -> Mapping[str, Any]:
    """OME-Zarr's attributes: since 0.5 they have a name of their own."""
    attributes: dict[str, Any] = group.attrs.asdict()
    return attributes.get("ome", attributes)


def _only_image(root: zarr.Group, described: Mapping[str, Any], path: Path) -> zarr.Group:
    """The one image of a bioformats2raw folder; any other folder that holds images is an error."""
    numbers = sorted((entry.name for entry in path.iterdir() if entry.name.isdigit()), key=int)
    groups = {number: group for number in numbers if isinstance(group := root.get(number), zarr.Group)}
    wells = [well["path"] for well in described.get("plate", {}).get("wells", ())]
    fields = [image["path"] for image in described.get("well", {}).get("images", ())]
    if wells:
        raise _several(path, "plate", "well", [f"{well}/0" for well in wells])
    if fields:
        raise _several(path, "well", "image", fields)
    if len(groups) > 1:
        raise _several(path, "collection", "image", list(groups))
    return next(iter(groups.values()), root)


def _several(path: Path, what: str, part: str, images: Sequence[str]) -> NucsegError:
    return NucsegError(
        f"{path.name} is a {what} of {len(images)} {part}{'s' * (len(images) != 1)}, not one image",
        f"copy its images ({path.name}/{images[0]}) into the input folder, each as a folder NAME.zarr of its own",
    )


def _axes(multiscale: Mapping[str, Any], ndim: int, path: Path) -> list[Mapping[str, Any]]:
    # In 0.3 an axis is its name; before, axes had none.
    declared = multiscale.get("axes", _EARLY_AXES)
    if len(declared) != ndim:
        raise NucsegError(f"{path.name} describes {len(declared)} axes and has {ndim}", _COPY_AGAIN)
    return [{"name": axis} if isinstance(axis, str) else axis for axis in declared]


def _letter(axis: Mapping[str, Any]) -> str:
    """One of TZCYX, Q for any other."""
    name = axis["name"].upper()
    return name if name in tuple("TZCYX") else {"time": "T", "channel": "C"}.get(axis.get("type", ""), "Q")


def _edges(axes: Sequence[Mapping[str, Any]], dataset: Mapping[str, Any], multiscale: Mapping[str, Any]) -> list[float]:
    """Distance of neighbours along each axis in µm, 0 where it isn't declared."""
    own, common = _scale(dataset), _scale(multiscale)
    if own is None:
        return [0.0] * len(axes)
    edges = np.multiply(own, 1.0 if common is None else common)
    return [micrometres(edge, axis.get("unit")) for edge, axis in zip(edges, axes, strict=True)]


def _scale(part: Mapping[str, Any]) -> list[float] | None:
    transformations = part.get("coordinateTransformations", ())
    return next((t["scale"] for t in transformations if t.get("type") == "scale" and "scale" in t), None)


def _check_chunks(array: zarr.Array, selection: Selection, path: Path) -> None:
    """Find the chunks that a copy cut short: Zarr takes one that isn't there for an empty one."""
    stored = array.shards or array.chunks
    grid: list[Sequence[int]] = [
        [selection.index[i] // step] if i in selection.index else range(ceil(length / step))
        for i, (length, step) in enumerate(zip(array.shape, stored, strict=True))
    ]
    chunks = [path / array.path / array.metadata.encode_chunk_key(place) for place in product(*grid)]
    there = [chunk for chunk in chunks if chunk.exists()]
    if not there:
        raise NucsegError(f"{path.name} holds no data: none of its {len(chunks)} chunks is there", _COPY_AGAIN)
    if len(there) < len(chunks):
        _LOGGER.warning(
            "%s: %d of %d chunks are not there and are read as %s: empty space, or an incomplete copy",
            path.name,
            len(chunks) - len(there),
            len(chunks),
            array.fill_value,
        )
    if array.shards is None and any(isinstance(codec, (Blosc, BloscCodec)) for codec in array.compressors):
        for chunk in there:
            _check_blosc(chunk, path)


def _check_blosc(chunk: Path, path: Path) -> None:
    """Raise an error where Blosc would read on beyond the end of a chunk."""
    with chunk.open("rb") as file:
        header = file.read(16)
    if len(header) < 16 or int.from_bytes(header[12:], "little") > chunk.stat().st_size:
        raise NucsegError(f"{path.name} is damaged: the end of its chunk {chunk.name} is missing", _COPY_AGAIN)


def _load(array: zarr.Array, selection: Selection, path: Path) -> np.ndarray:
    shape = selection.zyx(array.shape)
    check_room(prod(shape) * array.dtype.itemsize, path)
    data = np.empty(shape, array.dtype.newbyteorder("="))
    for region in _slabs(shape, selection.zyx(array.shards or array.chunks)):
        data[region] = selection.apply(array, region)
    return data


def _slabs(shape: Shape, chunks: Shape) -> Iterator[Region]:
    """Regions of whole chunks that cover a volume, each of a few million voxels where chunks allow it."""
    z = chunks[0] * max(1, _SLAB_VOXELS // (chunks[0] * shape[1] * shape[2]))
    y = chunks[1] * max(1, _SLAB_VOXELS // (z * chunks[1] * shape[2]))
    for top, front in product(range(0, shape[0], z), range(0, shape[1], y)):
        yield slice(top, top + z), slice(front, front + y), slice(None)
