"""Resampling of a volume block by block, with the same voxels as resampling the whole."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nucseg.volume import Region, Shape, Triple

_SLAB_VOXELS = 1 << 22


@dataclass(frozen=True)
class _Axis:
    """Which source voxels an output voxel is made of along one axis, and with which weights."""

    first: np.ndarray  # (n_out,) first source voxel
    weights: np.ndarray  # (n_out, taps) float32, zero where there is no source voxel
    length: int  # of the source

    @classmethod
    def linear(cls, length: int, zoom: float, n_out: int) -> "_Axis":
        """A triangle as wide as two source voxels, or as two output voxels where these are larger.

        The widening is what keeps detail finer than the output's voxels from aliasing; definition as
        in Pillow's ``ImagingResample`` and torch's ``interpolate(antialias=True)``.
        """
        scale = 1.0 / zoom
        support = max(scale, 1.0)
        centre = (np.arange(n_out) + 0.5) * scale
        first = np.clip(np.floor(centre - support + 0.5).astype(np.int64), 0, length - 1)
        stop = np.minimum(np.floor(centre + support + 0.5).astype(np.int64), length)
        source = first[:, None] + np.arange(int((stop - first).max()))
        weights = np.maximum(0.0, 1.0 - np.abs(source + 0.5 - centre[:, None]) / support)
        weights[source >= stop[:, None]] = 0.0
        weights[weights.sum(axis=1) == 0, 0] = 1.0  # beyond the last voxel, which is repeated
        weights /= weights.sum(axis=1, keepdims=True)
        return cls(first, weights.astype(np.float32), length)

    def source(self, start: int, stop: int) -> tuple[int, int]:
        """Source voxels that output voxels [start, stop) need."""
        return int(self.first[start]), min(self.length, int(self.first[stop - 1]) + self.weights.shape[1])

    def apply(self, block: np.ndarray, axis: int, offset: int, start: int, stop: int) -> np.ndarray:
        """Output voxels [start, stop) along `axis` of a block that begins at source voxel `offset`.

        Every output voxel is summed up tap by tap in the same order, whatever the block: this, and
        not a matrix product, makes blocks equal to the whole bit for bit.
        """
        along = [1, 1, 1]
        along[axis] = stop - start
        result = None
        for tap in range(self.weights.shape[1]):
            index = np.minimum(self.first[start:stop] + tap, self.length - 1) - offset
            part = np.take(block, index, axis=axis)
            part *= self.weights[start:stop, tap].reshape(along)
            if result is None:
                result = part
            else:
                result += part
        assert result is not None
        return result


@dataclass(frozen=True)
class Resampler:
    """Separable linear resampling with anti-aliasing; output voxel d lies at source (d + 0.5) / zoom - 0.5.

    Along an axis that is enlarged this is linear interpolation with the border voxel repeated. Along
    an axis that is reduced the kernel is widened, as in ``torch.nn.functional.interpolate`` with
    ``antialias=True``. Weights and sums are float32.

    Parameters
    ----------
    shape_in : tuple of int
        Of the source, ZYX.
    zoom : tuple of float
        Output voxels per source voxel, ZYX, above 0. An axis of zoom 1 is not touched.
    shape : tuple of int, optional
        Of the output, where it is known better than by rounding (a view's source).

    Examples
    --------
    >>> data = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    >>> r = Resampler((2, 2, 2), (1.0, 1.0, 0.5))
    >>> r.shape_out, r.read(data, (slice(0, 2), slice(1, 2), slice(0, 1))).ravel().tolist()
    ((2, 2, 1), [2.5, 6.5])
    """

    shape_in: Shape
    zoom: Triple
    shape: Shape | None = None

    def __post_init__(self) -> None:
        """Check the zoom."""
        if min(self.shape_in) < 1 or not all(0 < z < float("inf") for z in self.zoom):
            raise ValueError(f"cannot resample {self.shape_in} by {self.zoom}")

    @cached_property
    def shape_out(self) -> Shape:
        """Number of voxels after resampling, ZYX: `shape`, else ``max(1, round(n * zoom))``."""
        if self.shape:
            return self.shape
        z, y, x = (output_length(n, zoom) for n, zoom in zip(self.shape_in, self.zoom, strict=True))
        return z, y, x

    @cached_property
    def _axes(self) -> dict[int, _Axis]:
        """The axes that change, in the order that keeps intermediate results small and gathers along X rare."""
        changes = {i: zoom for i, zoom in enumerate(self.zoom) if zoom != 1}
        reduced = [i for i in changes if changes[i] < 1]
        enlarged = [i for i in reversed(changes) if changes[i] > 1]
        return {i: _Axis.linear(self.shape_in[i], changes[i], self.shape_out[i]) for i in reduced + enlarged}

    def read(self, data: np.ndarray, region: Region) -> np.ndarray:
        """One block of the resampled volume; of `data`, only the voxels that it needs are read.

        Parameters
        ----------
        data : numpy.ndarray
            The source, of shape `shape_in` and any real dtype. May be a memory map.
        region : tuple of slice
            Block of the output, ZYX, step 1.

        Returns
        -------
        numpy.ndarray
            float32, freshly allocated; the same values as in any other block that contains them.
        """
        if data.shape != self.shape_in:
            raise ValueError(f"the resampler is for {self.shape_in}, not {data.shape}")
        bounds = [s.indices(n)[:2] for s, n in zip(region, self.shape_out, strict=True)]
        shape = [max(0, stop - start) for start, stop in bounds]
        out = np.empty(shape, np.float32)
        if not out.size:
            return out
        planes = max(1, int(_SLAB_VOXELS // max(1.0, shape[1] * shape[2], self._source_voxels(bounds))))
        for start in range(0, shape[0], planes):
            stop = min(start + planes, shape[0])
            out[start:stop] = self._block(data, [(bounds[0][0] + start, bounds[0][0] + stop), *bounds[1:]])
        return out

    def _source_voxels(self, bounds: list[tuple[int, int]]) -> float:
        """Voxels of the source, of which there may be many more, per plane of a block."""
        _, (top, bottom), (left, right) = (
            self._axes[i].source(*b) if i in self._axes else b for i, b in enumerate(bounds)
        )
        return (bottom - top) * (right - left) / self.zoom[0]

    def _block(self, data: np.ndarray, bounds: list[tuple[int, int]]) -> np.ndarray:
        source = [self._axes[i].source(*b) if i in self._axes else b for i, b in enumerate(bounds)]
        block = data[tuple(slice(*s) for s in source)].astype(np.float32)
        for i, axis in self._axes.items():
            block = axis.apply(block, i, source[i][0], *bounds[i])
        return block


def output_length(length: int, zoom: float) -> int:
    """Number of voxels that `length` voxels become."""
    return max(1, round(length * zoom))


def resample_labels(labels: np.ndarray, shape_out: Shape, zoom: Triple | None = None) -> np.ndarray:
    """Label image at another shape, by nearest neighbour.

    Parameters
    ----------
    labels : numpy.ndarray
        ZYX, integers.
    shape_out : tuple of int
        Of the result, ZYX.
    zoom : tuple of float, optional
        Voxels of the result per voxel of `labels`, ZYX. Default: the ratio of the shapes, which is
        off by up to half a voxel at the far end where a shape had been rounded.

    Returns
    -------
    numpy.ndarray
        Of shape `shape_out` and the dtype of `labels`.
    """
    ratio = zoom or tuple(m / n for m, n in zip(shape_out, labels.shape, strict=True))
    z, y, x = (
        np.clip(np.floor((np.arange(m) + 0.5) / r).astype(np.int64), 0, n - 1)
        for m, n, r in zip(shape_out, labels.shape, ratio, strict=True)
    )
    out = np.empty(shape_out, labels.dtype)
    for target, plane in enumerate(z):
        if target and plane == z[target - 1]:
            out[target] = out[target - 1]
        else:
            out[target] = labels[plane][np.ix_(y, x)]
    return out
