"""Outlines of labels as SVG paths: sharp at every size, and smaller than pictures of them."""

from collections.abc import Iterator

import numpy as np

_BEGINS = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
"""Where a pixel's upper, right, lower and left edge begin, walked clockwise: row and column."""


def outline_path(labels: np.ndarray, every: tuple[int, int] = (1, 1)) -> str:
    """The outlines of all labels of a plane, as the ``d`` of an SVG path in pixels of the plane.

    They run along the edges of pixels: each encloses exactly the pixels of its label, and none crosses itself or
    another one.

    Parameters
    ----------
    labels : numpy.ndarray
        Rows and columns of whole numbers of any type, 0 for background. Touching labels have an outline each.
    every : tuple of int
        Of so many rows and columns only the middle one counts, where more would not be seen.

    Examples
    --------
    >>> outline_path(np.array([[0, 0, 0], [0, 7, 7]]))
    'M1 1h2v1h-2z'
    """
    # Pages come as they are in the file, and labels drawn elsewhere may be float or bool.
    labels = labels if labels.dtype.kind in "ui" else labels.astype(np.uint32)
    rows, columns = every
    lines = [np.minimum(np.arange(length + 1) * step, length) for length, step in zip(labels.shape, every, strict=True)]
    seen = labels[rows // 2 :: rows, columns // 2 :: columns]
    return "".join(_path(lines[0][corners[:, 0]], lines[1][corners[:, 1]]) for corners in _outlines(seen))


def _outlines(labels: np.ndarray) -> Iterator[np.ndarray]:
    """The corners of each outline, row and column, clockwise around the label; the first side goes to the right."""
    padded = np.pad(labels, 1)
    width, flat = padded.shape[1], padded.ravel()
    ahead, outside = (1, width, -1, -width), (-width, 1, width, -1)
    inside = np.flatnonzero(flat)
    edges, after = [], []
    for side in range(4):
        pixels = inside[flat[inside] != flat[inside + outside[side]]]
        label, front = flat[pixels], pixels + ahead[side]
        turns_right, goes_on = flat[front] != label, flat[front + outside[side]] != label
        following = np.where(turns_right, pixels, np.where(goes_on, front, front + outside[side]))
        turn = np.where(turns_right, 1, np.where(goes_on, 0, 3))
        edges.append(side * flat.size + pixels)
        after.append((side + turn) % 4 * flat.size + following)
    edge, following = np.concatenate(edges), np.concatenate(after)
    successor = np.searchsorted(edge, following)
    starts = np.zeros(len(edge), bool)
    starts[successor[edge // flat.size != following // flat.size]] = True
    sides, pixels = np.divmod(edge, flat.size)
    corners = np.stack(np.divmod(pixels, width), axis=1) - 1 + _BEGINS[sides]
    to, is_corner, is_open = successor.tolist(), starts.tolist(), starts.tolist()
    for first in np.flatnonzero(starts & (sides == 0)).tolist():
        if not is_open[first]:
            continue
        chain, number = [first], to[first]
        while number != first:
            if is_corner[number]:
                chain.append(number)
                is_open[number] = False
            number = to[number]
        yield corners[chain]


def _path(y: np.ndarray, x: np.ndarray) -> str:
    """Sides in turn along a row and along a column; the last one is the path's end."""
    lengths = (np.diff(x) + np.diff(y)).tolist()
    return f"M{x[0]} {y[0]}" + "".join(f"{'hv'[i % 2]}{length}" for i, length in enumerate(lengths)) + "z"
