"""All slices of a small volume with the outlines of every method, for the slider in the page."""

import math
from dataclasses import dataclass

from nucseg_launcher.report.outlines import outline_path
from nucseg_launcher.report.pictures import Contrast, embedded
from nucseg_launcher.report.sources import Stack

_MOST_VOXELS = 1 << 26
"""Of larger volumes there is no viewer: every plane would have to be read."""

_MOST_PLANES = 160
_WIDTH = 640


@dataclass(frozen=True)
class Viewer:
    """What the page's script draws from.

    Attributes
    ----------
    width, height : float
        Of a slice as it is shown, in pixels of the finest axis.
    scale : str
        From the voxels of outlines to the pixels of a slice.
    planes : list of int
        Z of each slice.
    slices : list of str
        A data URI per slice; empty strings where the image isn't there.
    outlines : dict of str to list of str
        A path per slice, by layer.
    """

    width: float
    height: float
    scale: str
    planes: list[int]
    slices: list[str]
    outlines: dict[str, list[str]]

    @property
    def size(self) -> int:
        """Bytes in the page."""
        return sum(map(len, self.slices)) + sum(len(path) for layer in self.outlines.values() for path in layer)


def viewer_of(stack: Stack, contrast: Contrast, budget: int) -> Viewer | None:
    """Make a viewer that takes at most `budget` bytes: with fewer slices where all are too many.

    Returns
    -------
    Viewer or None
        None for a volume of too many voxels, or where fewer than one slice in eight would be left.
    """
    depth, rows, columns = stack.shape
    if math.prod(stack.shape) > _MOST_VOXELS:
        return None
    unit = max(min(stack.voxel), max(rows * stack.voxel[1], columns * stack.voxel[2]) / _WIDTH)
    width, height = columns * stack.voxel[2] / unit, rows * stack.voxel[1] / unit
    scale = f"{width / columns:.5g} {height / rows:.5g}"
    every = max(1, int(rows / height)), max(1, int(columns / width))

    def made(planes: list[int]) -> Viewer:
        slices: list[str] = []
        outlines: dict[str, list[str]] = {name: [] for name in stack.layers}
        for z in planes:
            slices.append(embedded(contrast.grey(stack.raw.read(z)), width, height) if stack.raw else "")
            for name, layer in stack.layers.items():
                outlines[name].append(outline_path(layer.read(z), every))
        return Viewer(width, height, scale, planes, slices, outlines)

    probe = made([depth // 2, depth // 4, 3 * depth // 4])
    step = max(1, math.ceil(depth / _MOST_PLANES), math.ceil(probe.size / 3 * depth / budget))
    return made(list(range(0, depth, step))) if step <= 8 else None
