"""What of a volume is shown: boxes, and the three sections through a point of a box."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from nucseg.volume import Shape, Triple
from nucseg_launcher.report.planes import Planes

WINDOW = 480
"""Largest side of a picture, in its own pixels."""

_SMALLEST_NUCLEUS = 20
"""Pixels across; wider volumes are cut rather than shown with smaller nuclei, which have no visible outline."""

_UNKNOWN_NUCLEUS = 24
_MOST_VOXELS = 1 << 31
"""Read per volume for sections along Z; of larger ones only every so many planes."""


@dataclass(frozen=True)
class View:
    """A box of a volume, and a point in it that sections go through.

    Attributes
    ----------
    centre : tuple of int
        ZYX, voxels.
    box : tuple of (int, int)
        First voxel, and the one after the last, along Z, Y and X.
    voxel : tuple of float
        Size along Z, Y and X; in µm, or relative where that isn't known.
    shrink : float
        Voxels of the finest axis per pixel of a picture.
    z_step : int
        Every so many planes are read.
    """

    centre: Shape
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    voxel: Triple
    shrink: float = 1.0
    z_step: int = 1

    @property
    def unit(self) -> float:
        """Size of a pixel of the pictures, as `voxel` counts it."""
        return min(self.voxel) * self.shrink

    @property
    def extent(self) -> Triple:
        """Size of the box along Z, Y and X, in pixels of the pictures."""
        z, y, x = ((b - a) * v / self.unit for (a, b), v in zip(self.box, self.voxel, strict=True))
        return z, y, x


class Sections(NamedTuple):
    """Planes through the centre of a view: XY and XZ with X to the right, YZ with Z to the right and Y down."""

    xy: np.ndarray
    xz: np.ndarray
    yz: np.ndarray


def whole(shape: Shape, voxel: Triple, centre: Sequence[float], diameter: float | None) -> View:
    """The volume, or as much around the centre as a picture can show.

    Parameters
    ----------
    shape : tuple of int
    voxel : tuple of float
    centre : sequence of float
        ZYX, voxels.
    diameter : float or None
        Of a typical nucleus, in the unit of `voxel`.
    """
    finest = min(voxel)
    longest = max(n * v / finest for n, v in zip(shape, voxel, strict=True))
    nucleus = diameter / finest if diameter else _UNKNOWN_NUCLEUS
    shrink = max(1.0, min(longest / WINDOW, nucleus / _SMALLEST_NUCLEUS))
    return _view(shape, voxel, centre, [(0, n) for n in shape], shrink)


def around(shape: Shape, voxel: Triple, box: Sequence[Sequence[int]], centre: Sequence[float], margin: float) -> View:
    """A box with a margin on all sides; along Z no longer than its longer side in the plane.

    Parameters
    ----------
    shape : tuple of int
    voxel : tuple of float
    box : sequence
        First voxel, and the one after the last, along Z, Y and X.
    centre : sequence of float
        ZYX, voxels.
    margin : float
        In the unit of `voxel`.
    """
    wide = [(math.floor(a - margin / v), math.ceil(b + margin / v)) for (a, b), v in zip(box, voxel, strict=True)]
    lengths = [(b - a) * v for (a, b), v in zip(wide, voxel, strict=True)]
    if lengths[0] > max(lengths[1:]):
        half = max(1, round(max(lengths[1:]) / voxel[0] / 2))
        wide[0] = (round(centre[0]) - half, round(centre[0]) + half)
    longest = max(lengths[1:]) / min(voxel)
    return _view(shape, voxel, centre, wide, max(1.0, longest / WINDOW))


def _view(shape: Shape, voxel: Triple, centre: Sequence[float], box: Sequence[tuple[int, int]], shrink: float) -> View:
    """Keep to the volume and to the window."""
    sides, points = [], []
    for n, v, c, (a, b) in zip(shape, voxel, centre, box, strict=True):
        point = min(max(round(c), 0), n - 1)
        most = max(1, math.floor(WINDOW * shrink * min(voxel) / v + 1e-6))
        a, b = max(a, 0), min(b, n)
        if b - a > most:
            a = min(max(point - most // 2, a), b - most)
            b = a + most
        sides.append((a, b))
        points.append(point)
    (z0, z1), y, x = sides
    view = View((points[0], points[1], points[2]), ((z0, z1), y, x), voxel, shrink)
    return replace(view, z_step=max(1, math.ceil((z1 - z0) * shape[1] * shape[2] / _MOST_VOXELS)))


def cut(planes: Planes, view: View) -> Sections:
    """Read a view's sections, plane by plane."""
    (z0, z1), (y0, y1), (x0, x1) = view.box
    z, y, x = view.centre
    xz, yz = [], []
    for number in range(z0, z1, view.z_step):
        plane = planes.read(number)
        # Copies: a view would keep its plane in memory.
        xz.append(plane[y, x0:x1].copy())
        yz.append(plane[y0:y1, x].copy())
    return Sections(planes.read(z)[y0:y1, x0:x1], np.stack(xz), np.stack(yz, axis=1))
