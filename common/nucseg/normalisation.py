"""Percentiles of a volume and the intensities that networks want, without a copy of the volume."""

import numpy as np

# One byte per voxel or two: a histogram of all values has at most 65,536 bins.
_HISTOGRAM_DTYPES = ("uint8", "int8", "uint16", "int16")
_SLAB_VOXELS = 1 << 24


def percentile_range(data: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Two percentiles of all voxels: the values that ``numpy.percentile`` gives, bit for bit.

    Volumes of 8 or 16 bits are counted into a histogram slab by slab, so that a memory-mapped
    volume is read once and never held. Of other dtypes, numpy needs a copy of the volume.

    Parameters
    ----------
    data : numpy.ndarray
        Intensities, ZYX, at least one voxel.
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
    if data.dtype.name not in _HISTOGRAM_DTYPES:
        lower, upper = np.percentile(data, (low, high))
        return float(lower), float(upper)
    counts, smallest = _histogram(data)
    cumulative = np.cumsum(counts)
    return _from_histogram(cumulative, smallest, low), _from_histogram(cumulative, smallest, high)


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


def _histogram(data: np.ndarray) -> tuple[np.ndarray, int]:
    """Count every value of an 8 or 16 bit dtype; returns the counts and the value of the first bin."""
    info = np.iinfo(data.dtype)
    unsigned = np.dtype(f"u{data.dtype.itemsize}")
    counts = np.zeros(int(info.max) - int(info.min) + 1, np.int64)
    planes = max(1, _SLAB_VOXELS // max(1, data[0].size))
    for start in range(0, len(data), planes):
        slab = np.ascontiguousarray(data[start : start + planes], dtype=data.dtype.newbyteorder("="))
        counts += np.bincount(slab.view(unsigned).ravel(), minlength=len(counts))
    if info.min < 0:  # two's complement: the upper half of the bins are the negative values
        counts = np.roll(counts, len(counts) // 2)
    return counts, int(info.min)


def _from_histogram(cumulative: np.ndarray, smallest: int, percentile: float) -> float:
    """Percentile from cumulative counts, with the rounding of numpy's ``_lerp``."""
    last = int(cumulative[-1]) - 1
    rank = last * np.true_divide(percentile, 100)
    below = int(np.floor(rank))
    fraction = rank - below
    a, b = (float(smallest + np.searchsorted(cumulative, min(r, last), side="right")) for r in (below, below + 1))
    return float(a + (b - a) * fraction if fraction < 0.5 else b - (b - a) * (1 - fraction))
