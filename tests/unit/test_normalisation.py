import sys
from pathlib import Path

import numpy as np
import pytest
from csbdeep.utils import normalize_mi_ma

from nucseg.normalisation import intensity_limits, normalise, percentile_range, standard_limits

PERCENTILES = [(0, 100), (1, 99.8), (3, 97.5), (33.3, 50), (0.01, 99.99)]


@pytest.mark.parametrize("percentiles", PERCENTILES)
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", ">u2", ">i2", "uint32", "int32", "float32", "float64"]
)
def test_values_are_those_of_numpy(dtype: str, percentiles: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    for shape in ((1, 1, 1), (1, 1, 2), (7, 5, 3), (40, 31, 29)):
        data = rng.normal(40, 30, shape).astype(np.int64).clip(0 if "u" in dtype else -128, 127).astype(dtype)
        # Floats keep numpy from overflowing in the difference of two int8.
        exact = data.astype(np.float64) if data.dtype.kind in "ui" else data
        assert percentile_range(data, *percentiles) == tuple(float(v) for v in np.percentile(exact, percentiles))


def test_the_whole_range_of_16_bits_counts() -> None:
    data = np.array([[[-32768, 32767]]], np.int16)
    assert percentile_range(data, 0, 100) == (-32768.0, 32767.0)
    assert percentile_range(data, 25, 75) == (-16384.25, 16383.25)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", ">f4", "float64"])
def test_a_memory_map_is_counted_in_slabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr("nucseg.normalisation._SLAB_VOXELS", 50)
    data = (np.random.default_rng(2).lognormal(9, 1, (11, 6, 7)) - 2000).clip(0 if "u" in dtype else None).astype(dtype)
    data.tofile(tmp_path / "raw")
    stored = np.memmap(tmp_path / "raw", dtype, "r", shape=data.shape)
    native = data.astype(data.dtype.newbyteorder("="))
    assert percentile_range(stored, 1, 99.8) == tuple(float(v) for v in np.percentile(native, (1, 99.8)))


def test_a_constant_volume() -> None:
    assert percentile_range(np.full((2, 3, 4), 7, np.uint16), 1, 99.8) == (7.0, 7.0)
    assert not normalise(np.full((2, 3, 4), 7, np.float32), 7.0, 7.0).any()


@pytest.mark.parametrize("background", [0, 100])
def test_nuclei_on_a_constant_background_keep_their_contrast(background: int) -> None:
    data = np.full((20, 20, 20), background, np.uint16)
    data[5:7, 5:7, 5:7] += np.arange(8, dtype=np.uint16).reshape(2, 2, 2) + 50
    assert percentile_range(data, 1, 99.8) == (background, background)
    assert intensity_limits(data, 1, 99.8) == (background, background + 57)


def test_limits_of_ordinary_images_are_the_percentiles() -> None:
    data = np.random.default_rng(4).poisson(9, (10, 20, 30)).astype(np.uint16)
    assert intensity_limits(data, 1, 99.8) == percentile_range(data, 1, 99.8)


@pytest.mark.parametrize("dtype", [">u2", "i1", "f4"])
def test_a_volume_is_standardised_in_slabs(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    monkeypatch.setattr("nucseg.normalisation._SLAB_VOXELS", 100)
    data = np.random.default_rng(1).normal(60, 20, (7, 6, 5)).astype(dtype)
    mean, above = standard_limits(data)
    assert (mean, above - mean) == pytest.approx((data.mean(dtype=float), data.std(dtype=float)))


def test_normalise_computes_as_csbdeep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numexpr", None)
    data = np.random.default_rng(3).gamma(2, 300, (5, 6, 7)).astype(np.float32)
    low, high = percentile_range(data, 1, 99.8)
    expected = normalize_mi_ma(data, np.float64([[[low]]]), np.float64([[[high]]]))
    block = data.copy()
    assert normalise(block, low, high) is block
    np.testing.assert_array_equal(block, expected)
