"""The geometry of methods that segment planes."""

from pathlib import Path

import numpy as np
import pytest

from nucseg.planes import least_voxels, plane_geometry
from nucseg.volume import Volume


def test_thick_planes_are_counted_the_same_by_voxel_size_and_by_anisotropy():
    data = np.zeros((4, 8, 8), np.uint8)
    known, unknown = (Volume(data, size, Path("a.tif")) for size in ((2.0, 0.2, 0.2), None))
    by_size, by_user = plane_geometry(known, 20.0, 0.0), plane_geometry(unknown, 20.0, 10.0)
    assert by_size == pytest.approx(by_user)
    assert least_voxels(*by_size) == least_voxels(*by_user)
