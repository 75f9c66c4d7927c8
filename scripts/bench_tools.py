"""What the parts of ``make bench`` share: rows, times, and the volume they measure on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

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


def real_image() -> np.ndarray:
    """The nuclei that the stardist package carries, mirrored up to `SHAPE`; raw intensities."""
    from importlib.util import find_spec

    import tifffile

    spec = find_spec("stardist")
    assert spec is not None
    assert spec.origin is not None
    image = tifffile.imread(Path(spec.origin).parent / "data" / "images" / "img3d.tif")
    return mirrored(image, SHAPE)


def mirrored(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The image continued by reflection."""
    return np.pad(image, [(0, max(0, n - m)) for n, m in zip(shape, image.shape, strict=True)], mode="symmetric")[
        tuple(slice(0, n) for n in shape)
    ]
