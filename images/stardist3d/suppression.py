"""Non-maximum suppression of star-convex polyhedra: upstream's result, most of it without upstream's cost.

Going through the candidates in decreasing probability, each that is left drops all others that
overlap it by more than a part of the smaller volume. Which overlaps upstream finds too large is
answered by `images.stardist3d.overlap` where bounds settle it, else by upstream's own code for
that pair.
"""

import time
from typing import Any

import numpy as np

from images.stardist3d.native import quiet_native_code, single_threaded_native_code
from nucseg.errors import NucsegError
from nucseg.method import Report

TABLE_VOXELS = 4_000_000
"""Largest table of offsets; polyhedra beyond it (about 79 voxels of radius) are left to upstream's code."""

LARGEST_BOX = 2**31 - 1
"""Upstream counts the voxels of a polyhedron's box in 32 bits."""

CELL = 16
"""Edge in voxels of the cells in which neighbours are looked for."""

BALLAST = 20_000
"""Extent in voxels of the polyhedron that stands for all others when upstream's code gets a single pair."""

STEP = 200
"""Candidates between two looks at the clock."""

LOOK_SECONDS = 0.5
"""Between two reports: counting what is left takes time itself."""

PATIENCE = 3600.0
"""Seconds that the rest may always take, at the pace so far."""

PATIENCE_PER_CANDIDATE = 0.005
"""Seconds that it may take in volumes of many candidates; where the model suits, one takes 0.0001 to 0.001."""

FIRST_LOOK = 60.0
"""Seconds after which the pace is looked at."""


def suppress(
    points: np.ndarray,
    dist: np.ndarray,
    prob: np.ndarray,
    rays: Any,
    threshold: float,
    progress: Report = lambda fraction, text: None,
) -> np.ndarray:
    """Choose among overlapping polyhedra as ``stardist.nms.non_maximum_suppression_3d_sparse`` does.

    Unlike upstream's, the result does not depend on the number of threads.

    Parameters
    ----------
    points : numpy.ndarray
        int32 (n, 3) centres, ZYX.
    dist : numpy.ndarray
        float32 (n, n_rays), positive.
    prob : numpy.ndarray
        float32 (n,).
    rays : stardist.rays3d.Rays_Base
    threshold : float
        Overlap as part of the smaller of two volumes from which the less probable one is dropped.

    Returns
    -------
    numpy.ndarray
        Indices of the survivors, in decreasing probability.

    Raises
    ------
    NucsegError
        Polyhedra too large to handle; or the rest would take hours.
    """
    # Twice, as upstream: its order of equal probabilities is part of the result.
    first = np.argsort(prob)[::-1]
    second = np.argsort(prob[first])[::-1]
    order = first[second]
    alive = _Suppression(points[order], dist[order], prob[order], rays, threshold).run(progress)
    kept = np.empty(len(prob), bool)
    kept[second] = alive
    return first[kept]


class _Suppression:
    """One run over candidates in decreasing probability."""

    def __init__(self, points: np.ndarray, dist: np.ndarray, prob: np.ndarray, rays: Any, threshold: float) -> None:
        self.points = np.ascontiguousarray(points, np.int64)
        self.dist = np.ascontiguousarray(dist, np.float32)
        self.prob = np.ascontiguousarray(prob, np.float32)
        self.vertices = np.ascontiguousarray(rays.vertices, np.float32)
        self.faces = np.ascontiguousarray(rays.faces, np.int32)
        self.threshold = float(threshold)
        self.deferred = 0

    def run(self, progress: Report) -> np.ndarray:
        """Which candidates survive."""
        n = len(self.prob)
        reach = self.dist.max(initial=0) * np.abs(self.vertices).max(axis=0) * 2 + 2
        if np.prod(reach.astype(np.float64)) > LARGEST_BOX:
            raise NucsegError(
                f"the network sees nuclei of {self.dist.max():.0f} voxels in radius: the model doesn't suit this image",
                "give the nucleus diameter, or choose another model",
            )
        inverse = cone_coefficients(self.vertices, self.faces)
        if not n or inverse is None or not 0 < self.threshold < 1:
            return self._upstream()
        return self._fast(inverse, progress)

    def _fast(self, inverse: np.ndarray, progress: Report) -> np.ndarray:
        from images.stardist3d import overlap, polyhedron

        n, n_rays = self.dist.shape
        determinants = np.abs(np.linalg.det(self.vertices[self.faces].astype(np.float64)))
        boxes = self._boxes()
        # One after the other in float32, as upstream adds them up.
        extents = np.cumsum((boxes[:, 1::2] - boxes[:, ::2]).astype(np.float32) / np.float32(n), axis=0)[-1]
        if not extents.all():
            return self._upstream()
        self.share = extents / extents.max()
        stretch = (1 / self.share).astype(np.float64)
        lengths = np.linalg.norm(self.vertices * stretch, axis=1).astype(np.float32)
        radii = np.concatenate([(self.dist[part] * lengths).max(axis=1) for part in _parts(n)]).astype(np.float64)
        half = self._table_size(boxes)
        table = (*polyhedron.offset_table(inverse, half), half)
        shapes = (self.dist, self.points, self._volumes(determinants), boxes, radii)
        rays = (self.vertices, self.faces, determinants, inverse)
        margin = 1e-4 + 64 * 2.0**-24 * (float(np.abs(boxes).max()) + 1)
        alive = np.ones(n, bool)
        open_pairs = np.empty(n, np.int64)
        room = (
            np.empty((3, n_rays)),
            np.empty((2 * len(self.faces), 3)),
            np.empty(n_rays, np.int64),
            np.empty((int(np.prod(2 * half + 1)), 4), np.int16),
        )
        cells = _cells(self.points, boxes)
        start, began = 0, time.monotonic()
        looked = began
        while start < n:
            stop = min(n, (start // STEP + 1) * STEP)
            start, n_open = overlap.advance(
                start,
                stop,
                alive,
                cells,
                open_pairs,
                self.threshold,
                shapes,
                rays,
                stretch,
                table,
                margin,
                room,
            )
            if n_open:
                self.deferred += n_open
                self._settle(start - 1, open_pairs[:n_open], alive)
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                done = 1 - np.count_nonzero(alive[start:]) / n
                progress(done, f"choosing among {n} candidates")
                _check_pace(looked - began, done, n)
        return alive

    def _boxes(self) -> np.ndarray:
        """(n, 6) int32: first and last voxel along Z, Y and X, rounded as upstream rounds."""
        boxes = np.empty((len(self.dist), 6), np.int32)
        for part in _parts(len(boxes)):
            for axis in range(3):
                places = self.dist[part] * self.vertices[:, axis]
                places += self.points[part, axis, None].astype(np.float32)
                boxes[part, 2 * axis] = np.rint(places.min(axis=1))
                boxes[part, 2 * axis + 1] = np.maximum(np.rint(places.max(axis=1)), -1)
        return boxes

    def _volumes(self, determinants: np.ndarray) -> np.ndarray:
        """Volumes (n,) in voxels."""
        volumes = np.empty(len(self.dist))
        for part in _parts(len(volumes)):
            a, b, c = (self.dist[part][:, corner] for corner in self.faces.T)
            volumes[part] = (a * b * c).astype(np.float64) @ determinants / 6
        return volumes

    def _table_size(self, boxes: np.ndarray) -> np.ndarray:
        """Half the size of the table of offsets: for all polyhedra but a few that are much larger."""
        reach = np.maximum(self.points - boxes[:, ::2], boxes[:, 1::2] - self.points)
        half = np.ceil(np.quantile(reach, 0.999, axis=0)).astype(np.int64) + 1
        excess = np.prod(2 * half + 1) / TABLE_VOXELS
        return half if excess <= 1 else (half / excess ** (1 / 3)).astype(np.int64)

    def _upstream(self) -> np.ndarray:
        """Survivors by upstream's code alone."""
        if not len(self.prob):
            return np.zeros(0, bool)
        with quiet_native_code(), single_threaded_native_code():
            return self._native(self.dist, self.points.astype(np.float32), self.prob, use_kdtree=1)

    def _native(self, dist: np.ndarray, points: np.ndarray, prob: np.ndarray, use_kdtree: int) -> np.ndarray:
        from stardist.lib.stardist3d import c_non_max_suppression_inds

        return c_non_max_suppression_inds(
            dist, points, self.vertices, self.faces, prob, 1, use_kdtree, 0, np.float32(self.threshold)
        )

    def _settle(self, i: int, others: np.ndarray, alive: np.ndarray) -> None:
        """Let survivor i suppress some others by upstream's code, pair by pair."""
        with quiet_native_code(), single_threaded_native_code():
            for j in others:
                alive[j] = self._survives(int(j), beside=i)

    def _survives(self, j: int, *, beside: int) -> bool:
        """Whether a candidate survives beside a more probable one, by upstream's code.

        Upstream stretches space by the mean extents of all its candidates. A third polyhedron, far
        away, gives the pair the mean of the whole.
        """
        pair = self.dist[[beside, j]]
        places = self.points[[beside, j]].astype(np.float32)
        corners = places[:, None] + pair[:, :, None] * self.vertices
        own = np.round(corners.max(axis=1)) - np.round(corners.min(axis=1))
        wanted = BALLAST * self.share - own.sum(axis=0)
        third = (wanted / 2 / np.maximum(np.abs(self.vertices), 1e-6)).min(axis=1)
        dist = np.vstack([pair, third]).astype(np.float32)
        points = np.vstack([places, places.max(axis=0) + 4 * BALLAST]).astype(np.float32)
        return bool(self._native(dist, points, np.array([3, 2, 1], np.float32), use_kdtree=0)[1])


def cone_coefficients(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray | None:
    """Matrices (n_faces, 3, 3) from a direction to its coefficients in each triangle of rays.

    None where the triangles do not cover every direction once (rays other than a convex hull's).
    """
    corners = vertices[faces].astype(np.float64)
    determinants = np.linalg.det(corners)
    if np.abs(determinants).min() < 1e-9:
        return None
    # Solid angle of a triangle: Van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30 (1983), 125
    a, b, c = corners.transpose(1, 0, 2)
    below = 1 + (a * b).sum(1) + (b * c).sum(1) + (c * a).sum(1)
    if abs(2 * np.arctan2(np.abs(determinants), below).sum() - 4 * np.pi) > 1e-3:
        return None
    return np.linalg.inv(corners.transpose(0, 2, 1))


def _cells(points: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Candidates by place: rows of cells along X, cells, members, with the boxes that hold them.

    Returns
    -------
    row_boxes (r, 6), row_cells (r + 1,), cell_boxes (c, 6), cell_ends (c, 2), members (n,)
    """
    cells = points // CELL
    members = np.lexsort(cells.T[::-1])
    ordered = cells[members]
    new_row = np.any(np.diff(ordered[:, :2], axis=0), axis=1)
    new_cell = np.any(np.diff(ordered, axis=0), axis=1)
    starts = np.concatenate([[0], np.flatnonzero(new_cell) + 1])
    ends = np.stack([starts, np.append(starts[1:], len(points))], axis=1)
    row_cells = np.searchsorted(starts, np.concatenate([[0], np.flatnonzero(new_row) + 1]))
    cell_boxes = _common_boxes(boxes[members], starts)
    return _common_boxes(cell_boxes, row_cells), np.append(row_cells, len(starts)), cell_boxes, ends, members


def _common_boxes(boxes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Box around each group of consecutive boxes."""
    result = np.empty((len(starts), 6), boxes.dtype)
    result[:, ::2] = np.minimum.reduceat(boxes[:, ::2], starts, axis=0)
    result[:, 1::2] = np.maximum.reduceat(boxes[:, 1::2], starts, axis=0)
    return result


def _check_pace(elapsed: float, done: float, n: int) -> None:
    remaining = elapsed * (1 - done) / max(done, 1e-6)
    if elapsed > FIRST_LOOK and remaining > max(PATIENCE, PATIENCE_PER_CANDIDATE * n):
        raise NucsegError(
            f"choosing among {n:,} candidates for nuclei would take about {remaining / 3600:.0f} hours more: their "
            "shapes are erratic, so the model doesn't suit this image, or its scale",
            "give the nucleus diameter, raise --prob_thresh, or choose another model",
        )


def _parts(n: int) -> list[slice]:
    """Slices over n candidates, few enough in each for intermediate arrays to stay small."""
    return [slice(start, start + 20_000) for start in range(0, n, 20_000)]
