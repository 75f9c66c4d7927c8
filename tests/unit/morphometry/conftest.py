import numpy as np
import pytest
from scipy.special import elliprg

from nucseg.volume import Triple


class Ellipsoid:
    """An ellipsoid in a random position and orientation, its voxels and its exact measures.

    `radii` are half axes in µm.
    """

    def __init__(self, rng: np.random.Generator, radii: Triple, voxel_size: Triple) -> None:
        self.radii, self.voxel_size = np.sort(radii)[::-1], voxel_size
        self.axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        form = self.axes @ np.diag(self.radii**-2.0) @ self.axes.T
        reach = np.sqrt(np.diag(np.linalg.inv(form)))
        grids = []
        for extent, edge in zip(reach, voxel_size, strict=True):
            steps = int(extent // edge) + 2
            grids.append((np.arange(-steps, steps + 1) + rng.random()) * edge)
        z, y, x = np.ix_(*grids)
        points = np.stack(np.broadcast_arrays(z, y, x), axis=-1)
        self.mask = np.einsum("...i,ij,...j", points, form, points) <= 1

    @property
    def volume(self) -> float:
        return 4 / 3 * np.pi * np.prod(self.radii)

    @property
    def area(self) -> float:
        return 4 * np.pi * np.prod(self.radii) * elliprg(*self.radii**-2.0)


@pytest.fixture
def ellipsoids():
    """Makes ellipsoids of a number of voxels: prolate, oblate and triaxial ones in turn."""

    def make(count: int, voxels: int, voxel_size: Triple) -> list[Ellipsoid]:
        rng = np.random.default_rng(voxels)
        found = []
        for k in range(count):
            long, middle = np.sort(rng.uniform(1, 2, 2))[::-1]
            shape = np.array([(long, 1, 1), (long, long, 1), (long, middle, 1)][k % 3])
            # A little more than asked for, so that none falls below by chance.
            volume = 1.1 * voxels * np.prod(voxel_size)
            radii = shape * np.cbrt(volume / (4 / 3 * np.pi * np.prod(shape)))
            found.append(Ellipsoid(rng, tuple(radii), voxel_size))
        return found

    return make
