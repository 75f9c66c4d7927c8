"""Which part of an array of any axes is the ZYX volume of one channel and one time point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from nucseg.errors import NucsegError
from nucseg.volume import Region

Number = TypeVar("Number", int, float)

_ALL = (slice(None), slice(None), slice(None))
_UNNAMED = "QI"
_NAMES = {
    "Z": "slices",
    "Y": "rows",
    "X": "columns",
    "C": "channels",
    "T": "time points",
    "S": "colours",
    "Q": "unnamed",
    "I": "unnamed",
}


class Stored(Protocol):
    """An array in memory or on disk."""

    def __getitem__(self, key: tuple[int | slice, ...], /) -> Any: ...


@dataclass(frozen=True)
class Selection:
    """A ZYX volume within a stored array.

    Attributes
    ----------
    axes : str
        One letter per axis of the stored array, "Z" for the slices whatever they are called in the file.
    shape : tuple of int
        Of the stored array, axes of length 1 included.
    index : dict of int to int
        The element to take along each axis that is none of Z, Y and X, by the number of the axis.
    """

    axes: str
    shape: tuple[int, ...]
    index: dict[int, int]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        return self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]

    def apply(self, stored: Stored, region: Region = _ALL) -> np.ndarray:
        """The ZYX volume, or a region of it; a view where the array is one in memory."""
        left = [axis for i, axis in enumerate(self.axes) if i not in self.index]
        wanted = dict(zip("ZYX", region, strict=True))
        key = tuple(self.index.get(i, wanted.get(axis, slice(None))) for i, axis in enumerate(self.axes))
        return stored[key].transpose([left.index(axis) for axis in "ZYX"])

    def zyx(self, numbers: Sequence[Number]) -> tuple[Number, Number, Number]:
        """Of one number per axis of the stored array (shape, chunks, edges), those of Z, Y and X."""
        z, y, x = (numbers[self.axes.index(axis)] for axis in "ZYX")
        return z, y, x

    def pages(self, count: int) -> list[int] | None:
        """The pages that hold the slices, in order, of `count` in all; None where a page is not one YX plane."""
        lead = self._lead(count)
        if lead is None or "Z" not in self.axes[:lead]:
            return None
        return [int(n) for n in np.arange(count).reshape(self.shape[:lead])[self._key(0, lead)]]

    def apply_to_page(self, page: np.ndarray, count: int) -> np.ndarray:
        """The slice in one of `pages`: it may hold several colours."""
        lead = self._lead(count) or 0
        return page.reshape(self.shape[lead:])[self._key(lead, len(self.axes))]

    def _key(self, start: int, stop: int) -> tuple[int | slice, ...]:
        return tuple(self.index.get(i, slice(None)) for i in range(start, stop))

    def _lead(self, count: int) -> int | None:
        """How many of the first axes number the pages."""
        pages = (i for i in range(len(self.axes)) if self.axes[i:].replace("S", "") == "YX")
        return next((i for i in pages if math.prod(self.shape[:i]) == count), None)


def select(axes: str, shape: tuple[int, ...], channel: int, time_point: int, path: Path) -> Selection:
    """Decide what is Z, and take the channel and the time point that are asked for.

    Parameters
    ----------
    axes : str
        As tifffile names them, one letter each: TZCYX, S for colours, Q or I for unnamed.
    shape : tuple of int
    channel, time_point : int
        Counted from 0; -1 where there is only one.
    path : pathlib.Path
        For messages.

    Raises
    ------
    NucsegError
        This is no single 3D volume, and which choice or which conversion makes it one.
    """
    size = {a: n for a, n in zip(axes, shape, strict=True) if n > 1}
    unnamed = [a for a in axes if a in _UNNAMED and (a in size or "Z" not in axes)]
    if "Z" not in size and len(unnamed) == 1:
        axes = axes.replace("Z", "Q").replace(unnamed[0], "Z")
        size = {a: n for a, n in zip(axes, shape, strict=True) if n > 1}
    colours = "C" if "C" in size or "S" not in size else "S"
    described = " x ".join(f"{n} {_NAMES.get(a, a)}" for a, n in zip(axes, shape, strict=True) if n > 1) or "one pixel"
    _check_three_dimensional(axes, size, described, path)
    chosen = {
        colours: _choice(channel, size.get(colours, 1), "channel" if colours == "C" else "colour", "nuc_channel", path),
        "T": _choice(time_point, size.get("T", 1), "time point", "time_point", path),
    }
    unknown = set(size) - set("ZYX") - set(chosen)
    if unknown or len(set(axes) & set("ZYX")) < 3 or any(axes.count(a) > 1 for a in size):
        raise NucsegError(
            f"{path.name} has more dimensions than TZCYX ({described})", "save one 3D stack of it as OME-TIFF"
        )
    return Selection(axes, shape, {i: chosen.get(a, 0) for i, a in enumerate(axes) if a not in "ZYX"})


def _check_three_dimensional(axes: str, size: dict[str, int], described: str, path: Path) -> None:
    if "Z" in size or any(a in size for a in _UNNAMED):
        return
    if "S" in size:
        raise NucsegError(
            f"{path.name} is a 2D RGB picture ({described})",
            "give the 3D stack itself; if its slices were saved as colours, save it again with axes ZYX",
        )
    if "T" in size or "C" in size:
        raise NucsegError(
            f"{path.name} has no Z axis ({described})",
            "if these are slices, say so in Fiji (Image > Properties) and save it again",
        )
    if "Z" in axes:
        raise NucsegError(
            f"{path.name} has only one slice ({described})", "give a 3D stack: these methods need at least two slices"
        )
    raise NucsegError(f"{path.name} is a 2D image ({described})", "give a 3D stack: these methods need slices along Z")


def _choice(chosen: int, count: int, name: str, parameter: str, path: Path) -> int:
    """The index to take along an axis: the one that is asked for, or the only one."""
    if 0 <= chosen < count:
        return chosen
    if count == 1:
        if chosen < 0:
            return 0
        raise NucsegError(
            f"{path.name} has only one {name}, and number {chosen} was asked for", f"leave out --{parameter}"
        )
    counted = f"is RGB, with {count} {name}s" if name == "colour" else f"has {count} {name}s"
    asked = "none was chosen" if chosen < 0 else f"number {chosen} was asked for"
    raise NucsegError(
        f"{path.name} {counted}, and {asked}",
        f"choose one with --{parameter}, from 0 to {count - 1}; of label images, save that one alone",
    )
