"""Scores of label images against StarDist's `matching`, surface distances against crops one by one.

A part of ``make bench``; alone: bench.py metrics [--large]
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from bench_tools import Row, alternate, compare, measure
from nucseg.environment import peak_memory_mib, reset_peak_memory
from nucseg.metrics.boundary import pair_boxes, surface_distance, surface_distances
from nucseg.metrics.matching import match_table, matched_pairs
from nucseg.metrics.overlap import overlap_table
from nucseg.metrics.segmentation import DSB_THRESHOLDS, segmentation_scores

VOXEL_SIZE = (2.0, 1.0, 1.0)


class Volume(NamedTuple):
    """Sizes of a label image, and how many times faster than upstream its scores are meant to be."""

    name: str
    shape: tuple[int, int, int]
    nuclei: int
    aim: int


MEDIUM = Volume("128 x 512 x 512, 2,000 nuclei", (128, 512, 512), 2_000, 15)
LARGE = Volume("256 x 1024 x 1024, 20,000 nuclei", (256, 1024, 1024), 20_000, 60)


def label_pair(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Ellipsoids, many of them touching, and the same with other positions and sizes; int32."""
    rng = np.random.default_rng(0)
    gt, pred = np.zeros((2, *volume.shape), np.int32)
    for label in range(1, volume.nuclei + 1):
        centre, radii = rng.integers(0, volume.shape), rng.integers((5, 10, 10), (9, 15, 15))
        paint(gt, label, centre, radii)
        if rng.random() < 0.92:
            paint(pred, label, centre + rng.integers(-2, 3, 3), radii + rng.integers(-1, 2, 3))
    return gt, pred


def paint(labels: np.ndarray, label: int, centre: np.ndarray, radii: np.ndarray) -> None:
    """An ellipsoid where there is background."""
    first, stop = np.maximum(centre - radii, 0), np.minimum(centre + radii + 1, labels.shape)
    axes = [(np.arange(a, b) - c) / r for a, b, c, r in zip(first, stop, centre, radii, strict=True)]
    box = labels[tuple(map(slice, first, stop))]
    box[(sum(axis**2 for axis in np.ix_(*axes)) <= 1) & (box == 0)] = label


def bench_metrics(repeats: int, *, large: bool) -> Iterator[Row]:
    """All comparisons; upstream's side of the large volume takes a minute and 12 GB, and is measured once."""
    yield from bench_volume(MEDIUM, repeats)
    if large:
        yield from bench_volume(LARGE, 1)


def bench_volume(volume: Volume, repeats: int) -> Iterator[Row]:
    """Upstream's scores at one threshold against all of ours at ten, and surface distances."""
    from stardist.matching import matching

    gt, pred = label_pair(volume)

    def upstream() -> None:
        matching(gt, pred, thresh=0.5)

    def ours() -> None:
        table = overlap_table(gt, pred)
        match_table(table, DSB_THRESHOLDS)
        segmentation_scores(table)

    # Compilation of both sides is not measured.
    matching(gt[:1, :9], pred[:1, :9])
    overlap_table(gt[:1, :9], pred[:1, :9])
    theirs, mine = alternate(repeats, lambda: measure(upstream), lambda: measure(ours))
    yield from compare(f"scores, {volume.name}", theirs, mine, f"1/{volume.aim}")
    yield Row("  memory", f"{added_memory(upstream)} MiB", f"{added_memory(ours)} MiB", "", "100 MiB")

    pairs = matched_pairs(overlap_table(gt, pred))
    surface_distances(gt, pred, pairs, VOXEL_SIZE, 2.0)

    def one_by_one() -> None:
        for true, predicted, first, stop in zip(pairs.true, pairs.pred, *pair_boxes(gt, pred, pairs), strict=True):
            box = tuple(map(slice, first, stop))
            surface_distance(gt[box] == true, pred[box] == predicted, VOXEL_SIZE, 2.0)

    def all_at_once() -> None:
        surface_distances(gt, pred, pairs, VOXEL_SIZE, 2.0)

    what = f"surface distances of {len(pairs.true)} pairs, edt one by one"
    theirs, mine = alternate(min(repeats, 2), lambda: measure(one_by_one), lambda: measure(all_at_once))
    yield from compare(what, theirs, mine, "1/10")


def added_memory(call: Callable[[], Any]) -> int:
    """What a call adds to the memory of the process at its peak, in MiB."""
    reset_peak_memory()
    before = peak_memory_mib()
    call()
    return peak_memory_mib() - before
