"""Plans for reading a volume in overlapping tiles whose cores make up the whole."""

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.volume import Region, Shape


@dataclass(frozen=True)
class Tile:
    """One step of a tiled prediction.

    Attributes
    ----------
    read : tuple of slice
        What the network gets, in voxels of the padded volume, ZYX.
    core : tuple of slice
        The part of it that counts; the rest has too little context.
    """

    read: Region
    core: Region


def padded_shape(shape: Shape, multiple: Shape) -> Shape:
    """`shape` rounded up to `multiple` along each axis, ZYX."""
    z, y, x = (-(-n // m) * m for n, m in zip(shape, multiple, strict=True))
    return z, y, x


def plan_tiles(shape: Shape, tile_shape: Shape, halo: Shape, multiple: Shape) -> list[Tile]:
    """Cover a volume by as few and as equal tiles as its memory budget allows.

    Parameters
    ----------
    shape : tuple of int
        Of the volume, ZYX. It is padded at its end to `padded_shape(shape, multiple)`.
    tile_shape : tuple of int
        The largest shape that may be read at once, ZYX.
    halo : tuple of int
        Context that a core needs on each side, ZYX; rounded up to `multiple`.
    multiple : tuple of int
        Reads and cores begin and end at multiples of this, ZYX.

    Returns
    -------
    list of Tile
        In ZYX order. The cores partition the padded volume; a read is its core grown by the halo, as
        far as the padded volume goes.

    Raises
    ------
    NucsegError
        With `ENVIRONMENT`, when a tile leaves no room for a core between its halos.

    Examples
    --------
    >>> [t.read[2] for t in plan_tiles((8, 8, 100), (8, 8, 64), (0, 0, 10), (4, 4, 4))]
    [slice(0, 64, None), slice(40, 100, None)]
    """
    per_axis = [_plan_axis(*axis) for axis in zip("ZYX", shape, tile_shape, halo, multiple, strict=True)]
    return [Tile((z[0], y[0], x[0]), (z[1], y[1], x[1])) for z, y, x in itertools.product(*per_axis)]


def _plan_axis(name: str, length: int, tile: int, halo: int, multiple: int) -> list[tuple[slice, slice]]:
    """Read and core of each tile along one axis. All is counted in units of `multiple`."""
    length, tile, halo = -(-length // multiple), tile // multiple, -(-halo // multiple)
    if tile >= length:
        count = 1
    elif 2 * (tile - halo) >= length:
        count = 2
    elif tile - 2 * halo >= 1:
        count = -(-(length - 2 * halo) // (tile - 2 * halo))
    else:
        raise NucsegError(
            f"a tile of {tile * multiple} voxels along {name} has no room for the context of"
            f" {2 * halo * multiple} voxels that the network needs",
            "give more memory",
            ENVIRONMENT,
        )
    overlap = 2 * halo * (count - 1)
    largest = -(-(length + overlap) // count)
    spare = count * largest - length - overlap  # fewer than `count`: as many tiles are one unit smaller
    tiles, start = [], 0
    for i in range(count):
        read = largest - (1 if i >= count - spare else 0)
        stop = start + read - halo * ((i > 0) + (i < count - 1))
        span = slice(max(0, start - halo) * multiple, min(length, stop + halo) * multiple)
        tiles.append((span, slice(start * multiple, stop * multiple)))
        start = stop
    return tiles


def plan_patches(shape: Shape, patch: Shape, halo: Shape) -> list[Tile]:
    """Cover a volume by patches of one shape, for networks whose result depends on it.

    Parameters
    ----------
    shape, patch, halo : tuple of int
        Of the volume, of every patch, and of its rim that only serves as context, ZYX.

    Returns
    -------
    list of Tile
        In ZYX order. Cores and reads reach beyond the volume, where `read_padded` reflects it.
    """
    spans = [
        [(slice(a - h, a - h + p), slice(a, a + p - 2 * h)) for a in range(0, n, p - 2 * h)]
        for n, p, h in zip(shape, patch, halo, strict=True)
    ]
    return [Tile((z[0], y[0], x[0]), (z[1], y[1], x[1])) for z, y, x in itertools.product(*spans)]


class Readable(Protocol):
    """What tiles are read from: `nucseg.scaling.View`."""

    @property
    def shape(self) -> Shape:
        """Number of voxels, ZYX."""
        ...

    def read(self, region: Region) -> np.ndarray:
        """float32 block: ZYX, or CZYX with several channels."""
        ...


def read_padded(view: Readable, region: Region) -> np.ndarray:
    """Block (C, Z, Y, X), float32, of a view that is continued by reflection beyond its ends."""
    places = [_reflected(part, size) for part, size in zip(region, view.shape, strict=True)]
    z, y, x = (slice(int(p.min()), int(p.max()) + 1) for p in places)
    block = view.read((z, y, x))
    block = block[None] if block.ndim == 3 else block
    for axis, (place, part) in enumerate(zip(places, (z, y, x), strict=True), start=1):
        if len(place) != part.stop - part.start or (np.diff(place) != 1).any():
            block = np.take(block, place - part.start, axis=axis)
    return np.ascontiguousarray(block, np.float32)


def _reflected(part: slice, size: int) -> np.ndarray:
    """Index of each voxel of an axis that is continued by reflection, without repeating the border."""
    period = max(1, 2 * (size - 1))
    index = np.arange(part.start, part.stop) % period
    return np.minimum(index, period - index) if size > 1 else index * 0
