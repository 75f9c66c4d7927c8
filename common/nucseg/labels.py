"""Label images as methods return them: checked, and numbered without gaps."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nucseg.errors import NucsegError
from nucseg.volume import Shape

LARGEST = 1 << 24
"""A label up to this is taken from any volume; beyond, there can't be more labels than voxels."""


@dataclass(frozen=True)
class Segmented:
    """A label image, and what a method knows of each nucleus.

    Attributes
    ----------
    labels : numpy.ndarray
        ZYX, any integer type, 0 is background.
    columns : mapping of str to numpy.ndarray
        For the table of nuclei: columns of `nucseg.morphometry.COLUMNS`, a value per label, in ascending order.
    """

    labels: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


def checked(result: "np.ndarray | Segmented", shape: Shape) -> Segmented:
    """What a method returned, with `checked_labels`.

    Raises
    ------
    NucsegError
        As `checked_labels`.
    """
    found = result if isinstance(result, Segmented) else Segmented(result)
    return replace(found, labels=checked_labels(found.labels, shape))


def checked_labels(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """A method's label image, found to be one and numbered 1 to N without gaps, in the same order.

    In place, slice by slice: the volume isn't copied.

    Parameters
    ----------
    labels : numpy.ndarray
        ZYX, any integer type, 0 is background.
    shape : tuple of int
        Of the image.

    Raises
    ------
    NucsegError
        When it has another shape, or values that are no labels: an error in the method.

    Examples
    --------
    >>> checked_labels(np.array([[[0, 7, 7, 3]]]), (1, 1, 4)).tolist()
    [[[0, 2, 2, 1]]]
    """
    hint = "report it: this is an error in the method"
    if labels.shape != shape:
        raise NucsegError(f"the method returned labels of shape {labels.shape} for an image of shape {shape}", hint)
    if labels.dtype.kind not in "iu":
        raise NucsegError(f"the method returned labels of type {labels.dtype}", hint)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > max(labels.size, LARGEST):
        raise NucsegError(f"the method returned labels from {low} to {high} for {labels.size} voxels", hint)
    present = present_labels(labels, high)
    present[0] = True
    if present.all():
        return labels
    number = (np.cumsum(present) - 1).astype(labels.dtype)
    labels = np.require(labels, requirements="W")
    for plane in labels:
        plane[:] = number[plane]
    return labels


def present_labels(labels: np.ndarray, high: int) -> np.ndarray:
    """Which of the labels from 0 to `high`, the largest there can be, have a voxel: (high + 1,) of bool."""
    present = np.zeros(high + 1, bool)
    for plane in labels:
        present[plane] = True
    return present


def is_in_pieces(labels: np.ndarray) -> bool:
    """Whether the foreground has several pieces: with one number for all, it is a mask and no label image."""
    from cc3d import connected_components

    return int(connected_components(labels > 0, connectivity=6, return_N=True)[1]) > 1
