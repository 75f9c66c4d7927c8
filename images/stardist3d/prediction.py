"""From a volume to its nuclei: candidates tile by tile, one suppression over all, rendering.

The network runs on tiles, and of its output only the sparse candidates are kept. The non-maximum
suppression sees all of them at once, so that tiles leave no seams. Source of the steps: stardist
0.9, ``stardist/models/base.py`` (_predict_sparse_generator) and ``model3d.py``
(_instances_from_prediction).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from images.stardist3d.config import StarDistConfig
from images.stardist3d.native import quiet_native_code
from images.stardist3d.suppression import suppress
from nucseg.errors import NucsegError
from nucseg.labels import Segmented, checked, present_labels
from nucseg.method import Report
from nucseg.runtime import available_memory, check_numbers, sigmoid
from nucseg.tiling import Readable, Tile, padded_shape, plan_tiles, read_padded
from nucseg.volume import Shape, Triple

Network = Callable[[np.ndarray], tuple[np.ndarray, ...]]

BORDER = 2
"""Grid positions at each face of the padded volume that give no candidates (`b` upstream)."""

LEAST_DISTANCE = 1e-3
"""Distances are clipped to this, as upstream does, because qhull fails on flat polyhedra."""

FEW = 2_000_000
"""So many candidates are never too many: choosing among them takes minutes."""

SUITABLE = 1 / 3
"""Most candidates per position of the grid where a model suits an image.

Probability is the distance to the nucleus' border as part of the largest one: in balls that fill 60 % of the
volume, 20 % of the positions are above 0.3. The general model gives 2 to 10 % on real volumes, at up to twice or
down to half their scale.
"""


class NetworkView(Readable, Protocol):
    """What prediction needs of `nucseg.scaling.View`."""

    @property
    def volume(self) -> Any:
        """What it is a view of; its `shape` is that of the labels."""
        ...

    @property
    def zoom(self) -> Triple:
        """Voxels of the view per voxel of the source, ZYX."""
        ...

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Source coordinates of points of the view."""
        ...


@dataclass(frozen=True)
class Polyhedra:
    """Star-convex polyhedra, candidates or survivors.

    Attributes
    ----------
    points : numpy.ndarray
        int32 (n, 3), centres in voxels of the view, ZYX.
    prob : numpy.ndarray
        float32 (n,).
    dist : numpy.ndarray
        float32 (n, n_rays), distance from the centre to the border along each ray, view voxels.
    class_prob : numpy.ndarray or None
        float32 (n, n_classes + 1), background first; None without a class head.
    """

    points: np.ndarray
    prob: np.ndarray
    dist: np.ndarray
    class_prob: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.prob)

    def __getitem__(self, which: np.ndarray) -> "Polyhedra":
        classes = None if self.class_prob is None else self.class_prob[which]
        return Polyhedra(self.points[which], self.prob[which], self.dist[which], classes)

    def columns(self) -> dict[str, np.ndarray]:
        """What the table of nuclei says of them."""
        columns = {"probability": self.prob}
        if self.class_prob is not None:
            columns |= {"class": self.class_prob.argmax(axis=1), "class_probability": self.class_prob.max(axis=1)}
        return columns


def predict(
    network: Network,
    view: NetworkView,
    config: StarDistConfig,
    thresholds: Mapping[str, float],
    tile_shape: Shape | None = None,
    max_candidates: int = 0,
    progress: Report = lambda fraction, text: None,
) -> Segmented:
    """Segment a volume.

    Parameters
    ----------
    network : callable
        float32 (1, C, Z, Y, X) -> what `StarDist3D.forward` returns, as arrays.
    view : nucseg.scaling.View
        The volume as the network is to see it.
    config : StarDistConfig
        Of the network.
    thresholds : mapping
        "prob": least probability of a candidate; "nms": overlap of two candidates, as part of the
        smaller one, from which the less probable is dropped.
    tile_shape : tuple of int or None
        The largest shape the network may get at once, ZYX; None gives it the whole volume.
    max_candidates : int
        With more the model is taken for unsuitable; 0 takes `most_candidates`.
    progress : callable
        Gets the fraction done and a text.

    Returns
    -------
    Segmented
        As of `render`.

    Raises
    ------
    NucsegError
        Too many candidates, or output of the network that can't be used.
    """
    survivors = predict_polyhedra(
        network, view, config, thresholds, tile_shape, max_candidates, lambda done, text: progress(0.95 * done, text)
    )
    progress(0.95, f"drawing {len(survivors)} nuclei")
    return render(survivors, view, config)


def predict_polyhedra(
    network: Network,
    view: NetworkView,
    config: StarDistConfig,
    thresholds: Mapping[str, float],
    tile_shape: Shape | None = None,
    max_candidates: int = 0,
    progress: Report = lambda fraction, text: None,
) -> Polyhedra:
    """The nuclei as polyhedra, in decreasing probability; arguments as for `predict`."""
    divisor = config.divisor
    tiles = plan_tiles(view.shape, tile_shape or padded_shape(view.shape, divisor), config.receptive_field, divisor)
    candidates = predict_candidates(
        network,
        view,
        config,
        thresholds["prob"],
        tiles,
        max_candidates,
        lambda done, text: progress(0.8 * done, text),
    )
    progress(0.8, f"choosing among {len(candidates)} candidates")
    order = suppress(
        candidates.points,
        candidates.dist,
        candidates.prob,
        config.rays(),
        thresholds["nms"],
        lambda done, text: progress(0.8 + 0.2 * done, text),
    )
    return candidates[order]


def predict_candidates(
    network: Network,
    view: NetworkView,
    config: StarDistConfig,
    prob_thresh: float,
    tiles: Sequence[Tile],
    max_candidates: int = 0,
    progress: Report = lambda fraction, text: None,
) -> Polyhedra:
    """All positions of the grid whose probability is above the threshold, in raster order.

    Parameters
    ----------
    tiles : sequence of Tile
        Over the shape of `view` padded up to ``config.divisor``; see `nucseg.tiling.plan_tiles`.

    Raises
    ------
    NucsegError
        Too many candidates; values that are not numbers; polyhedra that exceed the volume.
    """
    found: list[Polyhedra] = []
    limit, room = max_candidates or most_candidates(view.shape, config.grid), most_in_memory(config)
    count = 0
    for i, tile in enumerate(tiles):
        progress(i / len(tiles), f"tile {i + 1}/{len(tiles)}")
        found.append(_candidates_in_tile(network, view, config, prob_thresh, tile))
        count += len(found[-1])
        if count > limit:
            raise _too_many(count, limit, prob_thresh, i + 1, len(tiles))
        if count > room:
            raise NucsegError(
                f"{count:,} candidates in {i + 1} of {len(tiles)} tiles are more than fit into the free memory",
                "give the run more memory, raise --prob_thresh, or divide the volume",
            )
    return found[0] if len(found) == 1 else _in_raster_order(found)


def at_peaks(candidates: Polyhedra, grid: Shape) -> np.ndarray:
    """Which candidates (n,) are at least as probable as all others within two positions of the grid."""
    from scipy.ndimage import maximum_filter

    if not len(candidates):
        return np.zeros(0, bool)
    places = (candidates.points - candidates.points.min(axis=0)) // np.array(grid)
    prob = np.zeros(places.max(axis=0) + 1, np.float32)
    prob[tuple(places.T)] = candidates.prob
    return candidates.prob >= maximum_filter(prob, 5)[tuple(places.T)]


def most_candidates(shape: Shape, grid: Shape) -> int:
    """Candidates from which on a model doesn't suit a volume.

    Examples
    --------
    >>> most_candidates((100, 100, 100), (2, 2, 2)), most_candidates((600, 2000, 2000), (2, 2, 2))
    (2000000, 100000000)
    """
    return max(FEW, int(SUITABLE * prod(-(-n // step) for n, step in zip(shape, grid, strict=True))))


def most_in_memory(config: StarDistConfig) -> int:
    """Candidates that fit into half of the free memory, twice: as the tiles gave them, and in their order."""
    numbers = 3 + 1 + config.n_rays + (0 if config.n_classes is None else config.n_classes + 1)
    return int(available_memory("cpu") / 2 / (2 * 4 * numbers))


def _in_raster_order(parts: Sequence[Polyhedra]) -> Polyhedra:
    """All candidates. Equal probabilities are ordered by place in the list, which must not depend on the tiles."""
    order = np.lexsort(np.concatenate([part.points for part in parts]).T[::-1])
    places = np.empty_like(order)
    places[order] = np.arange(len(order))

    def ordered(arrays: list[np.ndarray]) -> np.ndarray:
        result = np.empty((len(order), *arrays[0].shape[1:]), arrays[0].dtype)
        stop = 0
        for array in arrays:
            start, stop = stop, stop + len(array)
            result[places[start:stop]] = array
        return result

    classes = [part.class_prob for part in parts if part.class_prob is not None]
    return Polyhedra(
        ordered([part.points for part in parts]),
        ordered([part.prob for part in parts]),
        ordered([part.dist for part in parts]),
        ordered(classes) if classes else None,
    )


def render(polyhedra: Polyhedra, view: NetworkView, config: StarDistConfig) -> Segmented:
    """Draw polyhedra into a label image of the source's shape; the more probable one wins a voxel.

    Centres and rays are brought to source voxels, so that borders are smooth at any zoom.

    Returns
    -------
    Segmented
        Labels int32 ZYX, consecutive from 1, with the columns of those polyhedra that have a voxel.
    """
    from stardist.geometry import polyhedron_to_label

    shape = view.volume.shape
    if not len(polyhedra):
        return Segmented(np.zeros(shape, np.int32), polyhedra.columns())
    rays = config.rays().copy(scale=tuple(1 / z for z in view.zoom))
    points = view.to_source(polyhedra.points)
    with quiet_native_code():
        labels = polyhedron_to_label(polyhedra.dist, points, rays, shape, prob=polyhedra.prob, verbose=False)
    seen = present_labels(labels, len(polyhedra))[1:]
    return checked(Segmented(labels, polyhedra[seen].columns()), shape)


def polyhedra_volumes(dist: np.ndarray, config: StarDistConfig) -> np.ndarray:
    """Volumes (n,) in voxels of the view of polyhedra with distances (n, n_rays)."""
    rays = config.rays()
    # Each face spans a tetrahedron with the centre.
    unit = np.abs(np.linalg.det(rays.vertices[rays.faces])) / 6
    return np.asarray(dist[:, rays.faces].prod(axis=2) @ unit)


def _candidates_in_tile(
    network: Network, view: NetworkView, config: StarDistConfig, prob_thresh: float, tile: Tile
) -> Polyhedra:
    block = read_padded(view, tile.read)
    if len(block) != config.n_channel_in:
        raise NucsegError(
            f"the model takes {config.n_channel_in} input channels, and the volume has {len(block)}",
            "choose a model for a single channel",
        )
    outputs = network(block[None])
    logits = outputs[0][0, 0]
    check_numbers(logits)
    grid = np.array(config.grid)
    start = np.array([s.start for s in tile.read]) // grid
    # Counted from the tile's start: its core, without the border of the padded volume and the padding.
    padded = np.array(padded_shape(view.shape, config.divisor)) // grid
    inside = -(-np.array(view.shape) // grid)
    first = np.maximum([s.start for s in tile.core] // grid, BORDER) - start
    last = np.minimum.reduce([[s.stop for s in tile.core] // grid, padded - BORDER, inside]) - start
    core = tuple(slice(max(0, a), max(0, b)) for a, b in zip(first, last, strict=True))
    prob = sigmoid(logits[core])
    places = np.nonzero(prob > np.float32(prob_thresh))
    at = tuple(index + part.start for index, part in zip(places, core, strict=True))
    dist = np.maximum(np.moveaxis(outputs[1][0], 0, -1)[at], np.float32(LEAST_DISTANCE))
    check_numbers(dist)
    classes = None
    if config.n_classes is not None:
        chosen = np.moveaxis(outputs[2][0], 0, -1)[at]
        chosen = np.exp(chosen - chosen.max(axis=1, keepdims=True))
        classes = chosen / chosen.sum(axis=1, keepdims=True)
    points = ((np.stack(at, axis=1) + start) * grid).astype(np.int32)
    return Polyhedra(points, prob[places], dist, classes)


def _too_many(count: int, limit: int, prob_thresh: float, tiles: int, of: int) -> NucsegError:
    where = "" if tiles == of else f" in {tiles} of {of} tiles alone"
    return NucsegError(
        f"the network sees {count:,} candidates for nuclei above probability {prob_thresh:g}{where}, and the limit is "
        f"{limit:,}: the model doesn't suit this image, or its scale",
        "give the nucleus diameter, raise --prob_thresh, or choose another model (--max_candidates moves the limit)",
    )
