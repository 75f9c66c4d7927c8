"""Label images as polygons, slice by slice, which is how a Cytomine server stores objects."""

from collections.abc import Iterator

import numpy as np
import shapely
from scipy.ndimage import find_objects


def outlines(labels: np.ndarray) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """The outlines of each nucleus, exactly around its pixels.

    Parameters
    ----------
    labels : numpy.ndarray
        ZYX, integers, 0 is background.

    Yields
    ------
    label : int
    polygons : list of tuple
        Number of the slice and polygon in well-known text, in pixels; a nucleus may have several in one
        slice. As on the server, Y counts from the bottom of the image.
    """
    height = labels.shape[1]
    for label, box in enumerate(find_objects(labels.astype(np.int32, copy=False)), 1):
        if box is not None:
            yield label, _outlines(labels[box] == label, box, height)


def _outlines(mask: np.ndarray, box: tuple[slice, ...], height: int) -> list[tuple[int, str]]:
    ends = np.diff(np.pad(mask, ((0, 0), (0, 0), (1, 1))).astype(np.int8), axis=2)
    z, y, start = np.nonzero(ends == 1)
    stop = np.nonzero(ends == -1)[2]
    first, left = box[0].start, box[2].start
    bottom = height - box[1].start - y - 1
    runs = shapely.box(left + start, bottom, left + stop, bottom + 1)
    return [
        (int(first + plane), shapely.to_wkt(polygon, rounding_precision=0))
        for plane in np.unique(z)
        for polygon in shapely.get_parts(shapely.simplify(shapely.union_all(runs[z == plane]), 0))
    ]
