"""Pairs of an image and its labels: found by name, checked before anything starts."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.errors import USAGE, NucsegError
from nucseg.folders import find_ground_truth, find_images
from nucseg.formats import image_stem, read_image, read_labels
from nucseg.labels import is_in_pieces
from nucseg.normalisation import intensity_limits
from nucseg.params import ImageParams
from nucseg.scaling import View, isotropic, zoom_to_diameter
from nucseg.volume import Triple, Volume

PERCENTILES = (1.0, 99.8)
"""Percentiles of the intensities that every model trained here sees as 0 and 1."""


def declared_input(diameter: float) -> dict[str, Any]:
    """`input` of the ``model.json`` of a model that is trained at this diameter (`nucseg.scaling`)."""
    return {"percentiles": list(PERCENTILES), "nucleus_diameter_voxels": diameter}


@dataclass(frozen=True, eq=False)
class Pair:
    """A volume, its labels, and what training needs to know of both.

    Attributes
    ----------
    volume : Volume
    labels : numpy.ndarray
        int32, the volume's shape, 0 is background.
    range : tuple of float
        The intensities that normalisation maps to 0 and 1.
    centres : numpy.ndarray
        (n, 3) voxel coordinates ZYX: the middle of each nucleus' bounding box.
    diameter : float
        Median equivalent diameter of the nuclei, in voxels of size `isotropic`.
    notes : tuple of str
        What is odd about the labels, though they can be learned from.
    """

    volume: Volume
    labels: np.ndarray
    range: tuple[float, float]
    centres: np.ndarray
    diameter: float
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The image's name without its extension."""
        return image_stem(self.volume.source)

    @property
    def fingerprint(self) -> str:
        """The same for the same intensities and labels."""
        content = hashlib.sha256()
        for array in (self.volume.data, self.labels):
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()[:16]

    def zoom(self, diameter: float) -> Triple:
        """Zoom along Z, Y and X that makes voxels isotropic and the median nucleus this many of them across."""
        return zoom_to_diameter(self.volume, self.diameter, diameter)

    def view(self, diameter: float) -> View:
        """The volume as a model sees it that is trained at this diameter."""
        return View(self.volume, self.zoom(diameter), self.range)


def find_pairs(images: Path, labels: Path, params: ImageParams) -> list[Pair]:
    """Read and check all pairs of two folders; `find_ground_truth` says which labels are an image's.

    Parameters
    ----------
    images, labels : pathlib.Path
        Folders of TIFF or OME-Zarr images.
    params : ImageParams
        How the images are read.

    Returns
    -------
    list of Pair
        In the order of the file names.

    Raises
    ------
    NucsegError
        With every file that is unfit and what to do about it, so that all can be mended at once.
    """
    paths, _ = find_images(images)
    truths = find_ground_truth(labels, paths)
    pairs, problems = [], []
    for path in paths:
        try:
            if path not in truths:
                raise NucsegError(f"no label image of this name in {labels}")
            pairs.append(make_pair(read_image(path, params), read_labels(truths[path])))
        except NucsegError as error:
            problems.append(f"{path.name}: {error.cause}" + (f" ({error.hint})" if error.hint else ""))
    if problems:
        raise NucsegError(
            "these pairs can't be used: " + "; ".join(problems),
            "mend or remove them; a label image has the shape and the name of its image",
            USAGE,
        )
    return pairs


def make_pair(volume: Volume, labels: np.ndarray) -> Pair:
    """Check one image against its labels and measure the nuclei.

    Raises
    ------
    NucsegError
        When the shapes differ, no nucleus is labelled, or the labels look like a binary mask.
    """
    from fastremap import renumber
    from scipy.ndimage import find_objects

    if labels.shape != volume.shape:
        raise NucsegError(f"the image has shape {volume.shape} and its labels {labels.shape}")
    largest = int(labels.max(initial=0))
    # Without gaps, because boxes and counts take memory by the largest number.
    labels = renumber(labels, preserve_zero=True)[0].astype(np.int32)
    boxes = [(number, box) for number, box in enumerate(find_objects(labels), 1) if box is not None]
    if not boxes:
        raise NucsegError("no nucleus is labelled")
    if len(boxes) == 1 and is_in_pieces(labels):
        raise NucsegError("the labels are a mask of 0 and one value: each nucleus needs a number of its own")
    centres = np.array([[(s.start + s.stop - 1) / 2 for s in box] for _, box in boxes])
    inside = [
        number
        for number, box in boxes
        if all(s.start > 0 and s.stop < n for s, n in zip(box, labels.shape, strict=True))
    ]
    voxels = np.bincount(labels.ravel())[inside if len(inside) >= 3 else [number for number, _ in boxes]]
    unit = isotropic(volume)
    stretch = float(np.prod(volume.voxel_size)) / unit**3 if volume.voxel_size else 1.0
    diameter = float(np.median(np.cbrt(6 / np.pi * voxels * stretch)))
    limits = intensity_limits(volume.data, *PERCENTILES)
    if limits[0] == limits[1]:
        raise NucsegError(f"the image has the same intensity, {limits[0]:g}, everywhere")
    # A plain array, in one piece, is sent to other processes by its place in a file (`nucseg.training.samples`).
    volume = replace(volume, data=np.ascontiguousarray(np.asarray(volume.data)))
    return Pair(volume, labels, limits, centres, diameter, _notes(labels, len(boxes), largest))


def _notes(labels: np.ndarray, count: int, largest: int) -> tuple[str, ...]:
    """What is odd about labels that can still be learned from."""
    from cc3d import connected_components

    notes = []
    if missing := largest - count:
        notes.append(f"{missing} label number{'s' * (missing != 1)} between 1 and {largest} not used")
    pieces = connected_components(labels, connectivity=26)
    first = np.unique(pieces[labels > 0])
    if (torn := len(first) - count) > 0:
        notes.append(f"labels in several pieces: {count} nuclei are {len(first)} connected objects ({torn} more)")
    return tuple(notes)


def oversized(pair: Pair, diameter: float, size: int) -> str:
    """A warning when nuclei are larger than the patches, else nothing.

    Parameters
    ----------
    pair : Pair
    diameter : float
        Voxels across the median nucleus in the patches.
    size : int
        Edge of the patches in voxels.
    """
    from scipy.ndimage import find_objects

    zoom = pair.zoom(diameter)
    spans = [
        max((s.stop - s.start) * z for s, z in zip(box, zoom, strict=True)) for box in find_objects(pair.labels) if box
    ]
    larger = sum(span > size for span in spans)
    if not larger:
        return ""
    return (
        f"{larger} of {len(spans)} nuclei span up to {max(spans):.0f} voxels, more than a patch's {size}: --patch_size"
    )
