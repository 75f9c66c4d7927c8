"""Maps don't depend on the tiles, and nothing of a volume is left out."""

from pathlib import Path

import numpy as np
import pytest

from nucseg.dense.prediction import predict_maps
from nucseg.errors import NucsegError
from nucseg.scaling import View
from nucseg.tiling import plan_patches, plan_tiles, read_padded
from nucseg.volume import Volume

SHAPE = (21, 37, 50)
DATA = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.uint16)
VIEW = View(Volume(DATA, None, Path("a.tif")), (1.0, 1.0, 1.0), (0.0, 1000.0))


def blur(x):
    """A network with a receptive field of two voxels on each side along X: a sum of five."""
    padded = np.pad(x, [(0, 0)] * 4 + [(2, 2)], mode="edge")
    total = sum(padded[..., i : i + x.shape[-1]] for i in range(5))
    return total, -total


@pytest.mark.parametrize("tile", [(24, 40, 56), (16, 24, 24), (8, 16, 16)])
def test_tiles_make_no_difference(tile):
    multiple, halo = (4, 4, 4), (0, 0, 4)
    whole = predict_maps(blur, VIEW, plan_tiles(SHAPE, (24, 40, 56), halo, multiple))
    tiled = predict_maps(blur, VIEW, plan_tiles(SHAPE, tile, halo, multiple))
    assert all(found.shape == SHAPE and np.array_equal(found, true) for found, true in zip(tiled, whole, strict=True))
    assert np.allclose(whole[0] + whole[1], 1, atol=1e-3)


def test_patches_of_one_shape_cover_everything_and_reflect_beyond():
    seen = []

    def network(x):
        seen.append(x.shape)
        return (x,)

    (found,) = predict_maps(network, VIEW, plan_patches(SHAPE, (24, 24, 24), (4, 4, 4)))
    assert set(seen) == {(1, 1, 24, 24, 24)}
    expected = 1 / (1 + np.exp(DATA / -1000))
    assert np.allclose(found, expected, atol=1e-3)


def test_what_lies_beyond_is_reflected():
    block = read_padded(VIEW, (slice(-3, 24), slice(0, 37), slice(48, 56)))[0]
    padded = np.pad(DATA / 1000, [(3, 3), (0, 0), (0, 6)], mode="reflect")
    assert np.allclose(block, padded[:27, :, 48:], atol=1e-6)


def test_a_network_without_numbers_is_told():
    with pytest.raises(NucsegError, match="not finite"):
        predict_maps(lambda x: (x * np.nan,), VIEW, plan_tiles(SHAPE, (24, 40, 56), (0, 0, 0), (4, 4, 4)))
