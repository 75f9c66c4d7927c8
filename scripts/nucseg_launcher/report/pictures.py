"""Sections as pictures inside a page: intensities as WebP, outlines as paths over them."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nucseg.overlay import round_length
from nucseg_launcher.report.outlines import outline_path
from nucseg_launcher.report.views import Sections, View

_GAP = 0.012
_QUALITY = 80


@dataclass(frozen=True)
class Part:
    """One section of a picture: where it is, and what is drawn there.

    Attributes
    ----------
    name : str
        ``xy``, ``xz`` or ``yz``.
    left, top, width, height : float
        In the picture's own pixels.
    scale : str
        From the pixels of the section, which its outlines count in, to those of the picture, as SVG writes it.
    image : str
        A data URI; empty where the image isn't there.
    """

    name: str
    left: float
    top: float
    width: float
    height: float
    scale: str
    image: str


@dataclass(frozen=True)
class Picture:
    """The three sections of a view, arranged so that their common axes meet.

    Attributes
    ----------
    width, height : float
    parts : list of Part
        XY, XZ below and YZ to the right.
    bar : tuple of (float, str) or None
        Length of a scale bar, and what it says.
    outlines : dict of str to list of str
        A path per part, by layer.
    """

    width: float
    height: float
    parts: list[Part]
    bar: tuple[float, str] | None
    outlines: dict[str, list[str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes in the page."""
        paths = sum(len(path) for layer in self.outlines.values() for path in layer)
        return paths + sum(len(part.image) for part in self.parts)


@dataclass(frozen=True)
class Contrast:
    """The intensities that become black and white."""

    low: float
    high: float

    def grey(self, plane: np.ndarray) -> np.ndarray:
        """A plane as 0 to 255."""
        share = (np.nan_to_num(plane.astype(np.float32)) - self.low) / max(self.high - self.low, 1e-20)
        return (255 * share.clip(0, 1)).astype(np.uint8)


def contrast_of(planes: Sequence[np.ndarray]) -> Contrast:
    """Between the percentiles 0.5 and 99.8 of some planes."""
    values = np.nan_to_num(np.concatenate([plane.ravel() for plane in planes]).astype(np.float32))
    low, high = np.percentile(values, (0.5, 99.8)).tolist()
    return Contrast(low, high) if high > low else Contrast(float(values.min()), float(values.max()))


def embedded(grey: np.ndarray, across: float, down: float) -> str:
    """A grey picture as a data URI; where it has more pixels than it is shown with, they are averaged."""
    from PIL import Image

    picture = Image.fromarray(grey)
    size = min(picture.width, math.ceil(across)), min(picture.height, math.ceil(down))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def picture_of(view: View, raw: Sections | None, contrast: Contrast, voxel_known: bool) -> Picture:
    """Arrange the sections of a view.

    Parameters
    ----------
    view : View
    raw : Sections or None
        Intensities; None where the image isn't there.
    contrast : Contrast
    voxel_known : bool
        Whether the view's voxel size is in µm, so that a scale bar can be drawn.
    """
    depth, height, width = view.extent
    gap = max(2.0, _GAP * (width + depth))
    steps = (view.voxel[0] * view.z_step / view.unit, view.voxel[1] / view.unit, view.voxel[2] / view.unit)
    places = {
        "xy": (0.0, 0.0, width, height, steps[2], steps[1]),
        "xz": (0.0, height + gap, width, depth, steps[2], steps[0]),
        "yz": (width + gap, 0.0, depth, height, steps[0], steps[1]),
    }
    parts = []
    for number, (name, (left, top, across, down, x, y)) in enumerate(places.items()):
        image = embedded(contrast.grey(raw[number]), across, down) if raw else ""
        parts.append(Part(name, left, top, across, down, f"{x:.5g} {y:.5g}", image))
    length = round_length(width * view.unit / 3)
    bar = (length / view.unit, f"{length:g} µm") if voxel_known else None
    return Picture(width + gap + depth, height + gap + depth, parts, bar)


def outlines_of(labels: Sections, view: View) -> list[str]:
    """A path per section."""
    sizes = (view.voxel[0] * view.z_step, *view.voxel[1:])
    z, y, x = (max(1, int(view.unit / size)) for size in sizes)
    return [outline_path(plane, every) for plane, every in zip(labels, ((y, x), (z, x), (y, z)), strict=True)]
