"""What the parts of ``make bench`` share: rows, times, and the volume they measure on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from data_folders import stardist_images

SHAPE = (64, 256, 256)

Seconds = tuple[float, float]
"""Of the clock, and of the processors together."""


@dataclass
class Row:
    """One line of the table: the reference, ours, and what ours is meant to stay below."""

    what: str
    reference: str
    ours: str
    ratio: str
    aim: str = ""


def print_table(rows: list[Row]) -> None:
    """Columns as wide as their widest cell."""
    lines = [("", "reference", "ours", "ratio", "aim")]
    lines += [(row.what, row.reference, row.ours, row.ratio, row.aim) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def measure(call: Callable[[], Any]) -> Seconds:
    """Time one call; what it gives is dropped."""
    begun, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - begun, time.process_time() - used


def alternate(repeats: int, *sides: Callable[[], Seconds]) -> list[Seconds]:
    """Medians of each side, run in turn; the first round, in which memory and caches are new, doesn't count."""
    runs = [[side() for side in sides] for _ in range(repeats + 1)][1:]
    return [
        (median(seconds for seconds, _ in side), median(processor for _, processor in side))
        for side in zip(*runs, strict=True)
    ]


def compare(what: str, reference: Seconds, ours: Seconds, aim: str) -> list[Row]:
    """A line for the clock and one for the processors, which other programs on the machine disturb less."""
    return [
        Row(name, f"{theirs:.3g} s", f"{mine:.3g} s", ratio(mine / theirs), wanted)
        for name, theirs, mine, wanted in zip((what, "  processor time"), reference, ours, (aim, ""), strict=True)
    ]


def ratio(value: float) -> str:
    """As 0.52, and as 1/48 where ours takes less than a tenth."""
    return f"{value:.2f}" if value > 0.1 else f"1/{1 / value:.0f}"


def real_image() -> np.ndarray:
    """The nuclei that the stardist package carries, mirrored up to `SHAPE`; raw intensities."""
    import tifffile

    return mirrored(tifffile.imread(stardist_images() / "img3d.tif"), SHAPE)


def mirrored(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The image continued by reflection."""
    return np.pad(image, [(0, max(0, n - m)) for n, m in zip(shape, image.shape, strict=True)], mode="symmetric")[
        tuple(slice(0, n) for n in shape)
    ]


def ellipsoids(shape: tuple[int, int, int], count: int, seed: int = 0) -> np.ndarray:
    """Label image (uint16) of ellipsoidal nuclei in random orientations; some touch.

    They lie about the points of a lattice, as large as fits: in 256 x 1024 x 1024 voxels, 20,000 of 3,000 on average.
    """
    rng = np.random.default_rng(seed)
    edge = (np.prod(shape) / count) ** (1 / 3)
    while np.prod([int(n / edge) for n in shape]) < count:
        edge *= 0.99
    lattice = np.stack(np.meshgrid(*[np.arange(int(n / edge)) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    centres = (rng.permutation(lattice)[:count] + 0.5 + rng.uniform(-0.08, 0.08, (count, 3))) * edge
    labels = np.zeros(shape, np.uint16)
    for label, centre in enumerate(centres, 1):
        axes = np.linalg.qr(rng.normal(size=(3, 3)))[0] / rng.uniform(0.28, 0.46, 3) / edge
        first = np.maximum(0, centre - edge / 2).astype(int)
        box = tuple(slice(a, a + int(edge) + 1) for a in first)
        offsets = [np.arange(s.start, min(s.stop, n)) - c for s, n, c in zip(box, shape, centre, strict=True)]
        z, y, x = np.ix_(*offsets)
        inside = sum((a * z + b * y + c * x) ** 2 for a, b, c in axes.T) <= 1
        labels[box][inside & (labels[box] == 0)] = label
    return labels
