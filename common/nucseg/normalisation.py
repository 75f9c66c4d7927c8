"""The intensities that networks want, by percentiles or the mean of a volume, without a copy of it."""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from nucseg.volume import slabs

_SLAB_VOXELS = 1 << 22
_DIGIT_BITS = 16


def percentile_range(data: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Two percentiles of all voxels: the values that ``numpy.percentile`` gives, bit for bit.

    Voxels are counted into histograms slab by slab, so that a memory-mapped volume is never held. It is
    read once for every 16 bits of a voxel.

    Parameters
    ----------
    data : numpy.ndarray
        Intensities, ZYX, at least one voxel: integers, or floats without NaN.
    low, high : float
        Percentiles, 0 to 100.

    Returns
    -------
    tuple of float
        The lower and the upper one, with linear interpolation between neighbours in rank.

    Examples
    --------
    >>> percentile_range(np.arange(11, dtype=np.uint8).reshape(1, 1, 11), 10, 95)
    (1.0, 9.5)
    """
    last = data.size - 1
    places = [last * float(np.true_divide(percentile, 100)) for percentile in (low, high)]
    ranks = [(int(place), min(int(place) + 1, last)) for place in places]
    values = _order_statistics(data, {rank for pair in ranks for rank in pair})
    lower, upper = (_interpolate(values[a], values[b], place - a) for place, (a, b) in zip(places, ranks, strict=True))
    return lower, upper


def intensity_limits(data: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """The intensities that become 0 and 1: two percentiles, or minimum and maximum where these are equal.

    They are in sparse images with a constant background: 99 % of the voxels may have its value.

    Parameters
    ----------
    data, low, high
        As for `percentile_range`.

    Returns
    -------
    tuple of float
        Equal only where all voxels are.

    Examples
    --------
    >>> sparse = np.zeros((10, 10, 10), np.uint8)
    >>> sparse[0, 0, 0] = 9
    >>> percentile_range(sparse, 1, 99.8), intensity_limits(sparse, 1, 99.8)
    ((0.0, 0.0), (0.0, 9.0))
    """
    lower, upper = percentile_range(data, low, high)
    return (lower, upper) if lower < upper else (float(data.min()), float(data.max()))


def standard_limits(data: np.ndarray) -> tuple[float, float]:
    """The intensities that become 0 and 1 where a volume is standardised: its mean, and one standard deviation above.

    Parameters
    ----------
    data : numpy.ndarray
        As for `percentile_range`; it is read slab by slab, twice.

    Examples
    --------
    >>> standard_limits(np.array([[[0, 4]]], np.uint8))
    (2.0, 4.0)
    """
    mean = sum(float(data[slab].sum(dtype=np.float64)) for slab in slabs(data.shape, _SLAB_VOXELS)) / data.size
    squares = sum(float(np.square(data[slab] - mean).sum()) for slab in slabs(data.shape, _SLAB_VOXELS))
    return mean, mean + (squares / data.size) ** 0.5


def normalise(block: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map `low` to 0 and `high` to 1, in place.

    The arithmetic is that of ``csbdeep.utils.normalize_mi_ma`` in float32 without numexpr: limits are
    rounded to float32 before they are subtracted. Values outside the limits are not clipped.

    Parameters
    ----------
    block : numpy.ndarray
        float32, any shape. It is overwritten.
    low, high : float
        Intensities, as from `intensity_limits`.

    Returns
    -------
    numpy.ndarray
        `block`.
    """
    lower, upper = np.float32(low), np.float32(high)
    block -= lower
    block /= upper - lower + np.float32(1e-20)
    return block


def _order_statistics(data: np.ndarray, ranks: Collection[int]) -> dict[int, np.generic]:
    """The voxel of each rank, 0 for the smallest: digit after digit of its key, the most significant first."""
    bits = 8 * data.dtype.itemsize
    digit_bits = min(bits, _DIGIT_BITS)
    # Of each rank, the leading digits of the voxel's key, and its rank among the voxels that share them.
    found = dict.fromkeys(ranks, 0)
    within = {rank: rank for rank in ranks}
    for shift in range(bits - digit_bits, -1, -digit_bits):
        counts = {lead: np.zeros(1 << digit_bits, np.int64) for lead in found.values()}
        for keys in _slabs_of_keys(data):
            digits = keys >> shift & (1 << digit_bits) - 1
            for lead, count in counts.items():
                same = digits if shift + digit_bits == bits else digits[keys >> shift + digit_bits == lead]
                count += np.bincount(same, minlength=len(count))
        for rank, lead in found.items():
            cumulative = np.cumsum(counts[lead])
            digit = int(np.searchsorted(cumulative, within[rank], side="right"))
            within[rank] -= int(cumulative[digit - 1]) if digit else 0
            found[rank] = lead << digit_bits | digit
    values = _from_keys(np.array(list(found.values()), f"u{data.dtype.itemsize}"), data.dtype)
    return dict(zip(found, values, strict=True))


def _slabs_of_keys(data: np.ndarray) -> Iterator[np.ndarray]:
    """Unsigned integers in the order of the voxels: their bits, the sign made the largest digit of a positive one."""
    dtype = data.dtype.newbyteorder("=")
    sign = np.array(1 << 8 * dtype.itemsize - 1, f"u{dtype.itemsize}")
    for slab in slabs(data.shape, _SLAB_VOXELS):
        keys = np.ascontiguousarray(data[slab], dtype).view(sign.dtype).ravel()
        if dtype.kind == "f":
            keys = np.where(keys & sign, ~keys, keys | sign)
        yield keys ^ sign if dtype.kind == "i" else keys


def _from_keys(keys: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The voxels that have these keys."""
    sign = np.array(1 << 8 * dtype.itemsize - 1, keys.dtype)
    if dtype.kind == "f":
        keys = np.where(keys & sign, keys ^ sign, ~keys)
    elif dtype.kind == "i":
        keys = keys ^ sign
    return keys.view(dtype.newbyteorder("="))


def _interpolate(a: Any, b: Any, fraction: float) -> float:
    """Between two neighbours in rank, with the rounding of numpy's ``_lerp``."""
    step = float(b - a) if isinstance(a, np.floating) else float(b) - float(a)
    return float(a) + step * fraction if fraction < 0.5 else float(b) - step * (1 - fraction)
