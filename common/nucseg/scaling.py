"""The volume as a network sees it: resampled to the nucleus size it was trained at, and normalised.

The rule, by what the model declares in its ``model.json`` under ``input``:

* ``nucleus_diameter_voxels``: voxels become isotropic, and a nucleus gets that many voxels across.
  The diameter in the image is the user's (`nucleus_diameter`), or is measured by the network
  itself (`measure_diameter`).
* ``voxel_size_um``: voxels get that size. Without a voxel size in the image, it is taken as it is.
* ``isotropic``: voxels become isotropic, as fine as the finest axis.
* neither (a converted model that doesn't say): the image is taken as it is.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from nucseg.errors import NucsegError
from nucseg.method import Report
from nucseg.normalisation import intensity_limits, normalise, standard_limits
from nucseg.progress import say
from nucseg.resampling import Resampler, resample_labels
from nucseg.volume import Region, Shape, Triple, Volume

Sizes = tuple[np.ndarray, np.ndarray]

LADDER = tuple(6.0 * 1.45**step for step in range(8))
"""Diameters in voxels that `measure_diameter` begins with: 6 to 81."""

REFINEMENTS = 2

SLAB = 16
"""Planes of the source that are drawn at once."""

USUAL_DIAMETER = 16.0
"""Voxels across a nucleus in a view, where the model doesn't declare them."""

LEAST_NUCLEUS = 2.0
"""Voxels of the source in the smallest nucleus that can be meant; less comes from a wrong unit."""

UNITS = "check the unit of the nucleus diameter and of the voxel size (--nucleus_diameter, --voxel_size_z, _y and _x)"

GLANCE, LOOK = 64**3, 96**3
"""Voxels of the part of a volume that the network looks at: to choose among `LADDER`, and to refine the choice."""


@dataclass(frozen=True)
class View:
    """A volume in the voxels and the intensities of a model, read block by block.

    Attributes
    ----------
    volume : Volume
        The source.
    zoom : tuple of float
        Voxels of the view per voxel of the source, ZYX.
    range : tuple of float
        Source intensities that become 0 and 1.
    window : tuple of slice, optional
        The part of the source to look at; by default all of it.
    """

    volume: Volume
    zoom: Triple
    range: tuple[float, float]
    window: Region | None = None

    @cached_property
    def _data(self) -> np.ndarray:
        return self.volume.data if self.window is None else self.volume.data[self.window]

    @cached_property
    def _resampler(self) -> Resampler:
        z, y, x = self._data.shape
        return Resampler((z, y, x), self.zoom)

    @property
    def shape(self) -> Shape:
        """Number of voxels of the view, ZYX."""
        return self._resampler.shape_out

    def read(self, region: Region) -> np.ndarray:
        """Resampled and normalised block, float32; equal to the same block of the whole."""
        return normalise(self._resampler.read(self._data, region), *self.range)

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Source voxel coordinates of points of the view: (n, 3), ZYX, voxel centres at integers."""
        start = [0, 0, 0] if self.window is None else [s.start for s in self.window]
        if self.zoom == (1.0, 1.0, 1.0):
            return points + np.array(start)
        return (points + 0.5) / np.array(self.zoom) - 0.5 + np.array(start)

    def labels_to_source(self, labels: np.ndarray, inside: np.ndarray, threshold: float) -> np.ndarray:
        """Label image of the view at the source's shape, with outlines as smooth as the source's voxels allow.

        Parameters
        ----------
        labels : numpy.ndarray
            ZYX, of the view's shape.
        inside : numpy.ndarray
            Of the same shape: how sure it is that a voxel belongs to a nucleus. It is interpolated,
            and nuclei end where it falls below `threshold`; labels are taken from the nearest voxel.
        threshold : float
        """
        if self.zoom == (1.0, 1.0, 1.0):
            return labels
        from scipy.ndimage import maximum_filter

        # The interpolated outline may lie up to one voxel outside.
        wider = np.where(labels > 0, labels, maximum_filter(labels, 3))
        z, y, x = self.zoom
        back: Triple = (1 / z, 1 / y, 1 / x)
        result = resample_labels(wider, self.volume.shape, back)
        field = Resampler(self.shape, back, self.volume.shape)
        for start in range(0, len(result), SLAB):
            slab = slice(start, min(start + SLAB, len(result)))
            result[slab][field.read(inside, (slab, slice(None), slice(None))) < threshold] = 0
        return result


def isotropic(volume: Volume) -> float:
    """Edge in µm of the cube that diameters in voxels are counted in: the finest axis; 1 when unknown."""
    return min(volume.voxel_size) if volume.voxel_size else 1.0


def zoom_to_diameter(volume: Volume, diameter: float, wanted: float) -> Triple:
    """Zoom per axis that makes voxels isotropic and nuclei `wanted` voxels wide.

    Parameters
    ----------
    volume : Volume
    diameter : float
        Of a nucleus in the source, in voxels of size `isotropic(volume)`.
    wanted : float
        Of a nucleus in the view, in voxels.
    """
    unit = isotropic(volume)
    z, y, x = (wanted / diameter * edge / unit for edge in volume.voxel_size or (unit, unit, unit))
    return z, y, x


def choose_zoom(volume: Volume, declared: Mapping[str, Any], diameter: float) -> Triple | None:
    """Zoom by the rule at the top of this module; None when the diameter has to be measured first.

    Parameters
    ----------
    volume : Volume
    declared : mapping
        `input` of the model's ``model.json``.
    diameter : float
        The user's, in µm (in voxels when the volume has no voxel size); 0 when not said.
    """
    if wanted := declared.get("nucleus_diameter_voxels"):
        return zoom_to_diameter(volume, diameter / isotropic(volume), wanted) if diameter else None
    if (size := declared.get("voxel_size_um")) and volume.voxel_size:
        z, y, x = (have / want for have, want in zip(volume.voxel_size, size, strict=True))
        return z, y, x
    if declared.get("isotropic") and volume.voxel_size:
        return zoom_to_diameter(volume, 1.0, 1.0)
    return (1.0, 1.0, 1.0)


def fit_view(
    volume: Volume, declared: Mapping[str, Any], diameter: float, look: Callable[[View], Sizes], progress: Report
) -> View:
    """The volume at a model's scale; the nuclei are measured when their diameter is needed and not known.

    Parameters
    ----------
    volume : Volume
    declared : mapping
        `input` of the model's ``model.json``.
    diameter : float
        As for `choose_zoom`.
    look : callable
        From a view of a part of the volume to the diameters (n,), in voxels of the view, and the
        probabilities (n,) of the nuclei that the network finds there.
    progress : Report
    """
    if declared.get("standardised"):
        limits = standard_limits(volume.data)
    else:
        limits = intensity_limits(volume.data, *declared["percentiles"])
    zoom = choose_zoom(volume, declared, diameter)
    if diameter and "nucleus_diameter_voxels" not in declared:
        say("warning: the model doesn't say which diameter it was trained at: --nucleus_diameter has no effect")
    if zoom is None:
        measured = find_diameter(volume, declared["nucleus_diameter_voxels"], limits, look, progress)
        zoom = choose_zoom(volume, declared, measured * isotropic(volume)) or (1.0, 1.0, 1.0)
    view = View(volume, zoom, limits)
    check_scale(view, declared, diameter)
    return view


def check_scale(view: View, declared: Mapping[str, Any], diameter: float) -> None:
    """Refuse a scale that can only come from a wrong unit, and would take days and all memory.

    Nuclei larger than the volume cost nothing, and are only told.

    Parameters
    ----------
    view : View
    declared : mapping
        `input` of the model's ``model.json``.
    diameter : float
        The user's, 0 when not said.

    Raises
    ------
    NucsegError
    """
    volume, wanted = view.volume, declared.get("nucleus_diameter_voxels", USUAL_DIAMETER)
    unit = "µm" if volume.voxel_size else "voxels"
    if diameter and "nucleus_diameter_voxels" in declared and max(view.shape) < wanted / 2:
        say(f"warning: nuclei of {diameter:g} {unit} are larger than {volume.source.name}: {UNITS}")
    if wanted**3 / prod(view.zoom) >= LEAST_NUCLEUS:
        return
    size = " x ".join(f"{edge:g}" for edge in volume.voxel_size) + " µm" if volume.voxel_size else "unknown size"
    given = f" and nuclei of {diameter:g} {unit}" if diameter else ""
    raise NucsegError(
        f"with voxels of {size} (ZYX){given}, the model would have to see {prod(view.zoom):,.0f} voxels for each one",
        UNITS,
    )


def find_diameter(
    volume: Volume, wanted: float, limits: tuple[float, float], look: Callable[[View], Sizes], progress: Report
) -> float:
    """`measure_diameter` with a network that sees views, and the result told to the user; 0 when nothing is found."""
    looks = itertools.count(1)

    def look_on(zoom: Triple, window: Region) -> Sizes:
        progress(0.0, f"measuring the nucleus diameter, look {next(looks)}/{len(LADDER) + REFINEMENTS}")
        return look(View(volume, zoom, limits, window))

    measured = measure_diameter(volume, wanted, look_on)
    unit = "µm" if volume.voxel_size else "voxels"
    size = f"measured as {measured * isotropic(volume):.3g} {unit}"
    say(f"{volume.source.name}: nucleus diameter {size if measured else 'not measured: no nucleus found at any scale'}")
    return measured


def measure_diameter(volume: Volume, wanted: float, look: Callable[[Triple, Region], Sizes]) -> float:
    """Diameter of the nuclei in voxels of size `isotropic(volume)`, as the network sees them.

    The network looks at a part of the volume at each of `LADDER`'s scales. It is surest of what it
    sees at the scale that it was trained at, so the scale with the highest mean probability counts,
    refined by the sizes found there.

    Parameters
    ----------
    volume : Volume
    wanted : float
        Diameter in voxels that the model was trained at.
    look : callable
        From a zoom and a window of the source to the diameters (n,), in voxels of the view, and
        the probabilities (n,) of the nuclei that the network finds there.

    Returns
    -------
    float
        0 when no nucleus is found at any scale.
    """
    _, diameter = max(_look_at(volume, guess, wanted, look, GLANCE) for guess in LADDER)
    for _ in range(REFINEMENTS if diameter else 0):
        diameter = _look_at(volume, diameter, wanted, look, LOOK)[1] or diameter
    return diameter


def _look_at(
    volume: Volume, guess: float, wanted: float, look: Callable[[Triple, Region], Sizes], voxels: int
) -> tuple[float, float]:
    """How sure the network is of nuclei of about the size looked for, and the diameter of what was found."""
    zoom = zoom_to_diameter(volume, guess, wanted)
    window = busiest_window(volume, zoom, voxels)
    sizes, probabilities = look(zoom, window)
    fits = (sizes > wanted / 2) & (sizes < wanted * 2)
    if not fits.any():
        return 0.0, 0.0
    # A single object found with luck must not outweigh many.
    evidence = float(probabilities[fits].sum()) / (fits.sum() + 1)
    return evidence, guess * float(np.median(sizes[fits])) / wanted


def busiest_window(volume: Volume, zoom: Triple, voxels: int) -> Region:
    """The part of a volume that has at most so many voxels at this zoom, where most signal is."""
    from scipy.ndimage import uniform_filter

    shape = np.array(volume.shape)
    seen = shape * zoom
    # The edge of a cube of so many voxels, longer where the volume is too short along another axis.
    edge, left = np.inf, float(voxels)
    for position, length in enumerate(np.sort(seen)):
        if length > (share := left ** (1 / (3 - position))):
            edge = share
            break
        left /= length
    size = np.maximum(1, np.where(seen > edge, np.floor(edge / np.array(zoom)), shape)).astype(int)
    stride = np.maximum(1, shape // 64)
    sample = volume.data[tuple(slice(None, None, step) for step in stride)].astype(np.float32)
    clipped = np.minimum(sample, sample.mean() + 3 * sample.std())
    signal = uniform_filter(clipped, np.maximum(1, size // stride), mode="nearest")
    centre = np.array(np.unravel_index(signal.argmax(), signal.shape)) * stride
    start = np.clip(centre - size // 2, 0, shape - size)
    z, y, x = (slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))
    return z, y, x
