from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nucseg.resampling import Resampler, resample_labels
from nucseg.volume import Region, Shape, Triple

ZOOMS = [(1.0, 1.0, 1.0), (0.5, 1.7, 2.3), (2.1, 0.3, 1.0), (0.1, 0.1, 0.1), (3.0, 3.0, 0.77)]


def whole(shape: Shape) -> Region:
    z, y, x = (slice(0, n) for n in shape)
    return z, y, x


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float64"])
def test_blocks_equal_the_whole_bit_for_bit(zoom: Triple, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 255, (17, 23, 11)).astype(dtype)
    resampler = Resampler((17, 23, 11), zoom)
    complete = resampler.read(data, whole(resampler.shape_out))
    assert complete.shape == resampler.shape_out
    assert complete.dtype == np.float32
    monkeypatch.setattr("nucseg.resampling._SLAB_VOXELS", 200)
    for _ in range(40):
        z, y, x = (slice(*sorted(rng.integers(0, n + 1, 2).tolist())) for n in resampler.shape_out)
        block = resampler.read(data, (z, y, x))
        np.testing.assert_array_equal(block, complete[z, y, x])
        assert block.flags.owndata


@pytest.mark.parametrize("zoom", [0.2, 0.3, 0.5, 0.75, 1.5, 2.0, 3.0])
def test_values_are_those_of_an_anti_aliased_bilinear_resize(zoom: float) -> None:
    data = np.random.default_rng(1).random((1, 20, 40)).astype(np.float32)
    resampler = Resampler((1, 20, 40), (1.0, zoom, zoom))
    size = (resampler.shape_out[2], resampler.shape_out[1])
    expected = np.asarray(Image.fromarray(data[0]).resize(size, Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resampler.read(data, whole(resampler.shape_out))[0], expected, atol=2e-6)


@pytest.mark.parametrize("zoom", ZOOMS)
def test_a_ramp_stays_at_its_place(zoom: Triple) -> None:
    shape = (40, 50, 60)
    for axis in range(3):
        data = np.broadcast_to(np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(3)]), shape)
        resampler = Resampler(shape, zoom)
        line = np.moveaxis(resampler.read(data, whole(resampler.shape_out)), axis, 0)[:, 0, 0]
        source = (np.arange(len(line)) + 0.5) / zoom[axis] - 0.5
        inside = (source >= 1 / zoom[axis]) & (source <= shape[axis] - 1 - 1 / zoom[axis])
        np.testing.assert_allclose(line[inside], source[inside], atol=1e-4 if zoom[axis] >= 1 else 0.1)


@pytest.mark.parametrize("zoom", ZOOMS)
def test_a_constant_stays_constant_up_to_the_border(zoom: Triple) -> None:
    resampler = Resampler((5, 6, 7), zoom)
    np.testing.assert_allclose(
        resampler.read(np.full((5, 6, 7), 1000, np.uint16), whole(resampler.shape_out)), 1000, rtol=1e-6
    )


def test_noise_is_averaged_when_shrinking() -> None:
    data = np.random.default_rng(2).normal(size=(64, 64, 64)).astype(np.float32)
    small = Resampler((64, 64, 64), (0.25, 0.25, 0.25)).read(data, whole((16, 16, 16)))
    assert small.std() < 0.1


def test_zoom_one_is_a_plain_conversion() -> None:
    data = np.random.default_rng(3).integers(0, 65535, (4, 5, 6)).astype(">u2")
    np.testing.assert_array_equal(
        Resampler((4, 5, 6), (1.0, 1.0, 1.0)).read(data, whole((4, 5, 6))), data.astype(np.float32)
    )


def test_only_the_needed_part_of_the_source_is_read(tmp_path: Path) -> None:
    data = np.ones((100, 4, 4), np.float32)
    data[60:] = np.nan
    block = Resampler((100, 4, 4), (2.0, 1.0, 1.0)).read(data, (slice(0, 110), slice(0, 4), slice(0, 4)))
    assert np.isfinite(block).all()


@pytest.mark.parametrize("zoom", [(0.1, 0.1, 0.1), (0.2, 0.2, 0.2), (2.0, 0.1, 0.1)])
def test_no_slab_needs_much_more_than_its_share_of_the_source(zoom: Triple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucseg.resampling._SLAB_VOXELS", 30_000)
    parts = []

    class Source(np.ndarray):
        def __getitem__(self, key: object) -> np.ndarray:
            parts.append(np.asarray(self)[key].size)
            return np.asarray(self)[key]

    data = np.zeros((200, 40, 40), np.uint8).view(Source)
    resampler = Resampler(data.shape, zoom)
    resampler.read(data, whole(resampler.shape_out))
    assert len(parts) > 5
    # The context of a plane at a tenth is 20 planes of the source.
    assert max(parts) <= 30_000 + 20 * 40 * 40


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot resample"):
        Resampler((4, 5, 6), (0.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="is for"):
        Resampler((4, 5, 6), (1.0, 1.0, 1.0)).read(np.zeros((4, 5, 7)), whole((4, 5, 6)))


@pytest.mark.parametrize("zoom", [(1.0, 1.0, 1.0), (2.0, 3.0, 1.0), (0.5, 1.5, 0.4)])
def test_labels_are_taken_from_the_nearest_voxel(zoom: Triple) -> None:
    labels = np.random.default_rng(4).integers(0, 70_000, (6, 8, 10)).astype(np.uint32)
    shape = Resampler((6, 8, 10), zoom).shape_out
    result = resample_labels(labels, shape, zoom)
    assert result.dtype == labels.dtype
    z, y, x = (
        np.floor((np.arange(m) + 0.5) / f).astype(int).clip(0, n - 1)
        for m, n, f in zip(shape, labels.shape, zoom, strict=True)
    )
    np.testing.assert_array_equal(result, labels[np.ix_(z, y, x)])


def test_labels_survive_the_way_there_and_back() -> None:
    labels = np.zeros((7, 9, 11), np.uint16)
    labels[1:4, 2:6, 3:9] = 3
    np.testing.assert_array_equal(resample_labels(resample_labels(labels, (14, 27, 22)), (7, 9, 11)), labels)
