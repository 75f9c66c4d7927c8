"""Where methods disagree most: boxes of a volume with many nuclei that only some of them have."""

from dataclasses import dataclass

import numpy as np

from nucseg.comparison.consensus import Consensus
from nucseg.comparison.groups import Groups
from nucseg.volume import Shape

WIDTH = 4.0
"""Edge of a box in typical nucleus diameters."""


@dataclass(frozen=True)
class Region:
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


def worst_regions(groups: Groups, drawn: Consensus, shape: Shape, most: int = 3) -> list[Region]:
    """The boxes with most nuclei in dispute, those that do not touch one another.

    Parameters
    ----------
    groups : Groups
    drawn : Consensus
        Its centres and sizes.
    shape : tuple of int
        Of the volume.
    most : int
        Number of boxes; fewer where methods agree.
    """
    methods = groups.labels.shape[1]
    missing = 1 - groups.support / methods
    if not missing.any():
        return []
    half = WIDTH / 2 * np.cbrt(6 / np.pi * np.median(drawn.sizes))
    regions: list[Region] = []
    left = missing.copy()
    for _ in range(most):
        centre = _densest(drawn.centres, left, half)
        inside = _near(drawn.centres, centre, half)
        if not left[inside].any():
            break
        box = [(max(0, int(c - half)), min(edge, int(c + half) + 1)) for c, edge in zip(centre, shape, strict=True)]
        counts = np.count_nonzero(groups.labels[inside], axis=0).tolist()
        disputed = float(missing[inside].sum())
        regions.append(Region((box[0], box[1], box[2]), disputed / np.count_nonzero(inside), disputed, counts))
        left[_near(drawn.centres, centre, 2 * half)] = 0
    return regions


def _near(centres: np.ndarray, centre: np.ndarray, half: float) -> np.ndarray:
    return np.all(np.abs(centres - centre) <= half, axis=1)


def _densest(centres: np.ndarray, weight: np.ndarray, half: float) -> np.ndarray:
    """The disputed nucleus with most dispute around it."""
    from scipy.spatial import KDTree

    disputed = np.flatnonzero(weight)
    if not len(disputed):
        return centres[0]
    tree = KDTree(centres[disputed])
    around = tree.query_ball_point(centres[disputed], half, p=np.inf)
    return centres[disputed[int(np.argmax([weight[disputed[each]].sum() for each in around]))]]
