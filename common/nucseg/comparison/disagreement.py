"""Where methods disagree most: boxes of a volume with many nuclei that only some of them have."""

from dataclasses import dataclass

import numpy as np

from nucseg.comparison.consensus import Consensus
from nucseg.comparison.groups import Groups
from nucseg.volume import Shape, Triple

WIDTH = 4.0
"""Edge of a box in typical nucleus diameters."""


@dataclass(frozen=True)
class Dispute:
    """A box where methods disagree.

    Attributes
    ----------
    box : tuple of tuple of int
        First and stop voxel along Z, Y and X.
    score : float
        Nuclei that methods miss there, added up over nuclei, as a share of all methods and nuclei: 0 where all agree.
    missing : float
        The same sum, not divided: nuclei in dispute.
    counts : list of int
        How many nuclei each method has there.
    """

    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    score: float
    missing: float
    counts: list[int]


def worst_regions(
    groups: Groups, drawn: Consensus, shape: Shape, voxel_size: Triple | None, most: int = 3
) -> list[Dispute]:
    """The boxes with most nuclei in dispute, those that do not touch one another.

    Parameters
    ----------
    groups : Groups
    drawn : Consensus
        Its centres and sizes.
    shape : tuple of int
        Of the volume.
    voxel_size : tuple of float or None
        ZYX in µm: boxes are cubes in µm; in voxels where it is unknown.
    most : int
        Number of boxes; fewer where methods agree.
    """
    methods = groups.labels.shape[1]
    missing = 1 - groups.support / methods
    if not missing.any():
        return []
    edges = np.array(voxel_size or (1.0, 1.0, 1.0))
    half = WIDTH / 2 * np.cbrt(6 / np.pi * np.median(drawn.sizes) * edges.prod()) / edges
    regions: list[Dispute] = []
    left = missing.copy()
    for _ in range(most):
        centre = _densest(drawn.centres, left, half)
        inside = _near(drawn.centres, centre, half)
        if not left[inside].any():
            break
        first, stop = np.maximum(0, centre - half).astype(int), np.minimum(shape, centre + half + 1).astype(int)
        box = list(zip(first.tolist(), stop.tolist(), strict=True))
        counts = np.count_nonzero(groups.labels[inside], axis=0).tolist()
        disputed = float(missing[inside].sum())
        regions.append(Dispute((box[0], box[1], box[2]), disputed / np.count_nonzero(inside), disputed, counts))
        left[_near(drawn.centres, centre, 2 * half)] = 0
    return regions


def _near(centres: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    return np.all(np.abs(centres - centre) <= half, axis=1)


def _densest(centres: np.ndarray, weight: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The disputed nucleus with most dispute around it."""
    from scipy.spatial import KDTree

    disputed = np.flatnonzero(weight)
    if not len(disputed):
        return centres[0]
    scaled = centres[disputed] / half
    around = KDTree(scaled).query_ball_point(scaled, 1, p=np.inf)
    return centres[disputed[int(np.argmax([weight[disputed[each]].sum() for each in around]))]]
