"""Probability maps of a volume, tile by tile."""

from collections.abc import Sequence

import numpy as np

from nucseg.method import Report
from nucseg.runtime import Network, check_numbers, sigmoid
from nucseg.scaling import View
from nucseg.tiling import Tile, read_padded


def predict_maps(
    network: Network, view: View, tiles: Sequence[Tile], progress: Report = lambda done, text: None
) -> list[np.ndarray]:
    """Apply a network to a view.

    Parameters
    ----------
    network : Network
        Gives logits.
    view : View
    tiles : sequence of Tile
        Their cores cover the view.
    progress : callable
        Gets the fraction done and a text.

    Returns
    -------
    list of numpy.ndarray
        Probabilities, float16 of the view's shape, one array per output of the network.

    Raises
    ------
    NucsegError
        When the network gives values that are no numbers.
    """
    maps: list[np.ndarray] = []
    for number, tile in enumerate(tiles):
        progress(number / len(tiles), f"tile {number + 1}/{len(tiles)}")
        outputs = network(read_padded(view, tile.read)[None])
        maps = maps or [np.empty(view.shape, np.float16) for _ in outputs]
        target = tuple(slice(s.start, min(s.stop, n)) for s, n in zip(tile.core, view.shape, strict=True))
        source = tuple(slice(t.start - r.start, t.stop - r.start) for t, r in zip(target, tile.read, strict=True))
        for probabilities, output in zip(maps, outputs, strict=True):
            logits = output[0, 0][source]
            check_numbers(logits)
            probabilities[target] = sigmoid(logits)
    return maps
