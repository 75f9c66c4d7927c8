"""The size of a voxel, as OME-TIFF, ImageJ and tifffile write it, and as the user gives it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile

from nucseg.errors import NucsegError
from nucseg.volume import Triple

# Inches are left out: they stand for a screen or printer resolution that some program has made up.
_MICROMETRES = {
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "micrometers": 1.0,
    "micrometres": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "å": 1e-4,
    "angstrom": 1e-4,
    "pm": 1e-6,
    "picometer": 1e-6,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
}


def voxel_size_of(tif: TiffFile) -> list[float]:
    """Voxel size in µm along Z, Y and X that a file declares; 0 where it does not.

    A resolution tag counts only together with a unit in ImageJ's (or tifffile's) description: on
    its own it is mostly 72 dots per inch and means nothing.
    """
    if tif.is_ome and tif.ome_metadata:
        return _from_ome(tif.ome_metadata)
    if tif.imagej_metadata:
        # ImageJ doesn't write a distance of 1 (ij/io/FileSaver.java).
        return _from_imagej(tif, tif.imagej_metadata, 1.0)
    shaped = tif.shaped_metadata
    return _from_imagej(tif, shaped[0], None) if shaped else [0.0, 0.0, 0.0]


def complete_voxel_size(declared: list[float], explicit: Triple, path: Path) -> Triple | None:
    """The voxel size to use.

    A value that the user gives counts for its axis. Pixels are taken as square where only one of Y
    and X is known. A size that is still incomplete is an error when the user has given a part of
    it, and unknown otherwise: half a size is worse than none.

    Parameters
    ----------
    declared : list of float
        From `voxel_size_of`, 0 for unknown.
    explicit : tuple of float
        From the user in µm, ZYX, 0 for not given.
    path : pathlib.Path
        For the message.

    Raises
    ------
    NucsegError
        The user has given a part of the size and the file does not say the rest.
    """
    z, y, x = (given if given > 0 else found for given, found in zip(explicit, declared, strict=True))
    y, x = y or x, x or y
    if z and y and x:
        return z, y, x
    if max(explicit) > 0:
        missing = "Z" if y else "Y and X" if z else "Z, Y and X"
        raise NucsegError(
            f"{path.name}: the file does not say its voxel size along {missing}",
            "give the voxel size along all axes or along none",
        )
    return None


def _from_ome(xml: str) -> list[float]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        # tifffile copes with some XML that is not well-formed, and this must not stop the reading.
        return [0.0, 0.0, 0.0]
    pixels = next((element for element in root.iter() if element.tag.endswith("Pixels")), None)
    attributes = {} if pixels is None else pixels.attrib
    return [
        micrometres(attributes.get(f"PhysicalSize{axis}"), attributes.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "ZYX"
    ]


def _from_imagej(tif: TiffFile, metadata: Mapping[str, Any], spacing: float | None) -> list[float]:
    """`spacing` is the distance of slices that metadata without one mean."""
    unit = metadata.get("unit")
    tags = tif.pages.first.tags
    return [
        micrometres(metadata.get("spacing", spacing), metadata.get("zunit", unit)),
        micrometres(_pixel_size(tags.valueof("YResolution")), metadata.get("yunit", unit)),
        micrometres(_pixel_size(tags.valueof("XResolution")), unit),
    ]


def _pixel_size(resolution: Any) -> float | None:
    """Size of a pixel from the rational number of pixels per unit."""
    if not isinstance(resolution, tuple) or len(resolution) != 2 or not resolution[0]:
        return None
    return float(resolution[1] / resolution[0])


def micrometres(value: Any, unit: Any) -> float:
    """A length in µm, positive (ImageJ allows a negative distance of slices); 0 for anything that is not one."""
    try:
        length = abs(float(value)) * _MICROMETRES.get(str(unit).strip().lower(), 0.0)
    except (TypeError, ValueError):
        return 0.0
    return length if math.isfinite(length) else 0.0
