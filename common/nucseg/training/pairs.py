"""Pairs of an image and its labels: found by name, checked before anything starts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import image_stem, list_images, read_labels, read_volume
from nucseg.normalisation import percentile_range
from nucseg.scaling import isotropic
from nucseg.volume import Volume


@dataclass(frozen=True)
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
    """

    volume: Volume
    labels: np.ndarray
    range: tuple[float, float]
    centres: np.ndarray
    diameter: float

    @property
    def name(self) -> str:
        """The image's name without its extension."""
        return image_stem(self.volume.source)


def find_pairs(images: Path, labels: Path, percentiles: tuple[float, float]) -> list[Pair]:
    """Read and check all pairs of two folders; a label image has its image's name.

    Parameters
    ----------
    images, labels : pathlib.Path
        Folders of TIFF files.
    percentiles : tuple of float
        Percentiles of the intensities that normalisation maps to 0 and 1.

    Returns
    -------
    list of Pair
        In the order of the file names.

    Raises
    ------
    NucsegError
        With one line for every file that is unfit, so that all can be mended at once.
    """
    targets = {image_stem(path): path for path in list_images(labels)}
    pairs, problems = [], []
    for path in list_images(images):
        try:
            if image_stem(path) not in targets:
                raise NucsegError(f"no label image of this name in {labels}")
            pairs.append(make_pair(read_volume(path), read_labels(targets[image_stem(path)]), percentiles))
        except NucsegError as error:
            problems.append(f"{path.name}: {error.cause}")
    if problems:
        raise NucsegError(
            "these pairs can't be used: " + "; ".join(problems),
            "mend or remove them; a label image has the shape and the name of its image",
            USAGE,
        )
    if not pairs:
        raise NucsegError(f"no TIFF image in {images}", "name the folder that holds the training images", USAGE)
    return pairs


def make_pair(volume: Volume, labels: np.ndarray, percentiles: tuple[float, float]) -> Pair:
    """Check one image against its labels and measure the nuclei.

    Raises
    ------
    NucsegError
        When the shapes differ, no nucleus is labelled, or the labels look like a binary mask.
    """
    from scipy.ndimage import find_objects

    if labels.shape != volume.shape:
        raise NucsegError(f"the image has shape {volume.shape} and its labels {labels.shape}")
    labels = labels.astype(np.int32)
    boxes = [(number, box) for number, box in enumerate(find_objects(labels), 1) if box is not None]
    if not boxes:
        raise NucsegError("no nucleus is labelled")
    if len(boxes) == 1 and _has_several_pieces(labels > 0):
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
    return Pair(volume, labels, percentile_range(volume.data, *percentiles), centres, diameter)


def _has_several_pieces(mask: np.ndarray) -> bool:
    from scipy.ndimage import label

    return int(label(mask)[1]) > 1
