"""Outlines of labels as SVG paths: sharp at every size, and smaller than pictures of them."""

import numpy as np

TOLERANCE = 0.49
"""In pixels. Half a pixel would make a line of a label of one pixel."""


def outline_path(labels: np.ndarray, tolerance: float = TOLERANCE) -> str:
    """The outlines of all labels of a plane, as the ``d`` of an SVG path in units of half a pixel.

    Parameters
    ----------
    labels : numpy.ndarray
        Rows and columns of whole numbers of any type, 0 for background. Touching labels have an outline each.
    tolerance : float
        How far, in pixels, a corner that is left out may be from the outline that is drawn.

    Examples
    --------
    >>> outline_path(np.array([[0, 0, 0], [0, 7, 0]]))
    'M3 4l-1-1 1-1 1 1z'
    """
    import fastremap
    from scipy.ndimage import find_objects
    from skimage.measure import find_contours

    # Pages come as they are in the file, and labels drawn elsewhere may be float or bool.
    labels = labels if labels.dtype.kind in "ui" else labels.astype(np.uint32)
    numbered, _ = fastremap.renumber(np.ascontiguousarray(labels))
    contours = []
    for number, box in enumerate(find_objects(numbered), 1):
        mask = np.pad(numbered[box] == number, 1)
        first = [side.start - 1 for side in box]
        contours += [contour + first for contour in find_contours(mask, 0.5)]
    # A pixel's centre lies half a pixel from the corner that SVG counts from.
    return "".join(
        _path(np.rint(2 * corners + 1).astype(int)[:-1, ::-1]) for corners in simplified(contours, tolerance)
    )


def simplified(contours: list[np.ndarray], tolerance: float) -> list[np.ndarray]:
    """Leave out corners that are within `tolerance` of a straight line (Douglas and Peucker 1973).

    All contours at once: a plane has hundreds of short ones, and `skimage.measure.approximate_polygon` needs
    3 ms for each.

    Parameters
    ----------
    contours : list of numpy.ndarray
        (corners, 2) each; closed, so the last corner is the first one again.
    tolerance : float
    """
    if not contours:
        return []
    points = np.concatenate(contours)
    ends = np.cumsum([len(contour) for contour in contours])
    starts = np.concatenate([[0], ends[:-1]])
    kept = np.zeros(len(points), bool)
    kept[starts] = kept[ends - 1] = True
    while True:
        corners = np.flatnonzero(kept)
        line = np.repeat(np.arange(len(corners) - 1), np.diff(corners))
        distance = _distance(points[: len(line)], points[corners[:-1]], points[corners[1:]], line)
        farthest = np.maximum.reduceat(distance, corners[:-1])[line]
        chosen = np.flatnonzero((distance == farthest) & (farthest > tolerance))
        if not len(chosen):
            return [points[a:b][kept[a:b]] for a, b in zip(starts, ends, strict=True)]
        kept[chosen[np.unique(line[chosen], return_index=True)[1]]] = True


def _distance(points: np.ndarray, a: np.ndarray, b: np.ndarray, line: np.ndarray) -> np.ndarray:
    """From each point to its line through a and b; to the point a where these are the same."""
    along = (b - a)[line]
    length = np.hypot(*along.T)
    away = points - a[line]
    across = np.abs(along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0])
    return np.where(length > 0, across / np.where(length > 0, length, 1), np.hypot(*away.T))


def _path(corners: np.ndarray) -> str:
    # A minus sign parts two numbers as well as a space does.
    steps = "".join(f"{n}" if n < 0 else f" {n}" for n in np.diff(corners, axis=0).ravel().tolist())
    x, y = corners[0].tolist()
    return f"M{x} {y}l{steps.lstrip()}z"
