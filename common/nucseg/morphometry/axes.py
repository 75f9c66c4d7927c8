"""Principal axes of nuclei from the second moments of their voxels."""

from dataclasses import dataclass

import numpy as np

from nucseg.volume import Triple

# Rounding of a moment that is zero; that of two voxels in a million is still a thousand times larger.
_ZERO = 1e-9


@dataclass(frozen=True)
class PrincipalAxes:
    """Axes of the ellipsoids that have the same second moments as the nuclei: major, middle, minor.

    Attributes
    ----------
    lengths : numpy.ndarray
        (nuclei, 3), from end to end, 2 √(5 λ) of the eigenvalues λ of the covariance of the voxel centres.
        0 where a nucleus is one voxel thick.
    directions : numpy.ndarray
        (nuclei, 3, 3): for each axis a unit vector ZYX in space, its largest component positive.
    """

    lengths: np.ndarray
    directions: np.ndarray

    def elongation(self) -> np.ndarray:
        """Major over middle axis, 1 or more: √(λ1 / λ2), as NucleusJ has it; nan where the middle is 0."""
        return _ratio(self.lengths[:, 0], self.lengths[:, 1])

    def flatness(self) -> np.ndarray:
        """Middle over minor axis, 1 or more: √(λ2 / λ3), as NucleusJ has it; nan where the minor is 0."""
        return _ratio(self.lengths[:, 1], self.lengths[:, 2])


def principal_axes(covariances: np.ndarray, voxel_size: Triple) -> PrincipalAxes:
    """Find the axes of nuclei whose covariances, (nuclei, 3, 3) in voxels² and ZYX, are known.

    Examples
    --------
    >>> axes = principal_axes(np.diag([4.0, 1, 1])[None], voxel_size=(0.5, 2, 1))
    >>> axes.lengths.round(2).tolist(), axes.directions[0, 0].tolist()
    ([[8.94, 4.47, 4.47]], [0.0, 1.0, 0.0])
    """
    size = np.asarray(voxel_size)
    values, vectors = np.linalg.eigh(covariances * np.outer(size, size))
    values = np.where(values > _ZERO * size.min() ** 2, values, 0)[:, ::-1]
    directions = vectors.transpose(0, 2, 1)[:, ::-1]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=2, keepdims=True), axis=2)
    return PrincipalAxes(2 * np.sqrt(5 * values), directions * np.sign(largest))


def _ratio(longer: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    return np.divide(longer, shorter, out=np.full(len(longer), np.nan), where=shorter > 0)
