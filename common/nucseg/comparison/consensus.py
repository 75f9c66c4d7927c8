"""The label image that the majority of methods supports, object by object."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nucseg.comparison.groups import Groups
from nucseg.formats.label_file import LabelFile


@dataclass(frozen=True)
class Consensus:
    """A label image of supported nuclei, and where all nuclei are.

    Attributes
    ----------
    labels : numpy.ndarray
        ZYX, uint32; 1 to N without gaps, 0 for background.
    group : numpy.ndarray
        (N,): the row of `Groups` that label i + 1 was drawn from.
    centres : numpy.ndarray
        (groups, 3), ZYX in voxels: of every group, supported or not.
    sizes : numpy.ndarray
        (groups,): mean number of voxels of a group's objects.
    """

    labels: np.ndarray
    group: np.ndarray
    centres: np.ndarray
    sizes: np.ndarray


def is_majority(support: np.ndarray, methods: int) -> np.ndarray:
    """Whether more than half of the methods have a nucleus."""
    return 2 * support > methods


def draw_consensus(files: Sequence[LabelFile], groups: Groups) -> Consensus:
    """Draw every nucleus that more than half of the methods have.

    A voxel belongs to it where more than half of those that have the nucleus say so; of two nuclei that
    claim a voxel, the one with more votes gets it. Slab by slab: only the result is held as a whole.

    Parameters
    ----------
    files : sequence of LabelFile
        In the order of the columns of `groups`.
    groups : Groups
    """
    count = len(groups.labels)
    luts = [_lookup(groups.labels[:, m]) for m in range(len(files))]
    drawn = np.append(False, is_majority(groups.support, len(files)))
    support = np.append(0, groups.support)
    labels = np.zeros(files[0].shape, np.uint32)
    voxels, sums, z = np.zeros(count + 1), np.zeros((3, count + 1)), 0
    for slabs in zip(*(file.slabs() for file in files), strict=True):
        part = labels[z : z + len(slabs[0])]
        inside = np.flatnonzero(np.any([slab != 0 for slab in slabs], axis=0))
        seen = [lut[slab.ravel()[inside]] for lut, slab in zip(luts, slabs, strict=True)]
        part.ravel()[inside] = _vote(seen, drawn, support)
        where = np.unravel_index(inside, part.shape)
        for group in seen:
            voxels += np.bincount(group, minlength=count + 1)
            for axis, coordinate in enumerate(where):
                sums[axis] += np.bincount(group, coordinate + z * (axis == 0), minlength=count + 1)
        z += len(slabs[0])
    labels, kept = _consecutive(labels, count)
    centres = (sums[:, 1:] / np.maximum(voxels[1:], 1)).T
    return Consensus(labels, kept, centres, voxels[1:] / groups.support)


def _lookup(column: np.ndarray) -> np.ndarray:
    """From a method's label to the number of its group, counted from 1; 0 for background."""
    table = np.zeros(int(column.max(initial=0)) + 1, np.uint32)
    rows = np.flatnonzero(column)
    table[column[rows]] = rows + 1
    return table


def _vote(seen: Sequence[np.ndarray], drawn: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Of each voxel, the one with most votes of the groups that have enough, else 0."""
    winner, most = np.zeros_like(seen[0]), np.zeros(len(seen[0]), np.uint8)
    for group in seen:
        votes = np.asarray(sum(group == other for other in seen), np.uint8)
        better = drawn[group] & (2 * votes > support[group]) & (votes > most)
        winner[better], most[better] = group[better], votes[better]
    return winner


def _consecutive(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Number the groups that got a voxel from 1; which ones these are."""
    present = np.zeros(count + 1, bool)
    for plane in labels:
        present[np.unique(plane)] = True
    kept = np.flatnonzero(present[1:])
    number = np.zeros(count + 1, np.uint32)
    number[kept + 1] = np.arange(1, len(kept) + 1)
    for plane in labels:
        plane[:] = number[plane]
    return labels, kept
