"""From maps of a volume to nuclei: seeds, watershed, size filter, numbering."""

import numpy as np

SMALLEST = 0.1
"""Objects with less than this part of a typical nucleus' volume are debris."""


def components(mask: np.ndarray) -> np.ndarray:
    """Connected components (6 neighbours) of a mask ZYX, numbered from 1 in raster order, uint32."""
    from cc3d import connected_components

    return np.asarray(connected_components(mask, connectivity=6, out_dtype=np.uint32))


def peaks(height: np.ndarray, distance: int) -> np.ndarray:
    """Seeds at the local maxima of a map: one number per voxel set, uint32.

    Parameters
    ----------
    height : numpy.ndarray
        ZYX, 0 where no seed may be.
    distance : int
        Least distance of two seeds in voxels.
    """
    from skimage.feature import peak_local_max

    seeds = np.zeros(height.shape, np.uint32)
    found = peak_local_max(height, min_distance=max(1, distance), threshold_abs=0, exclude_border=False)
    seeds[tuple(found.T)] = np.arange(1, len(found) + 1)
    return seeds


def grow(seeds: np.ndarray, height: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Marker-controlled watershed: every connected part of the mask is divided among its seeds.

    A part without a seed becomes a nucleus of its own. Only parts with several seeds are flooded, each in
    its bounding box, which gives the same labels as flooding the volume, in less time and memory.

    Parameters
    ----------
    seeds : numpy.ndarray
        ZYX, unsigned, 0 where there is none.
    height : numpy.ndarray
        ZYX, high inside nuclei, low at their borders.
    mask : numpy.ndarray
        ZYX bool, where nuclei are.

    Returns
    -------
    numpy.ndarray
        uint32 ZYX, 0 outside of the mask; the numbers may have gaps.
    """
    from cc3d import statistics
    from skimage.segmentation import watershed

    parts = components(mask)
    inside = np.nonzero((seeds > 0) & mask)
    owners, numbers = parts[inside], seeds[inside]
    # Which seeds each part has; a part with one seed, or none, is one nucleus.
    pairs = np.unique(np.stack([owners, numbers], axis=1), axis=0) if len(owners) else np.zeros((0, 2), np.uint32)
    count = np.bincount(pairs[:, 0], minlength=int(parts.max(initial=0)) + 1)
    labels, last = parts, len(count) - 1
    boxes = statistics(parts)["bounding_boxes"]
    for part in np.nonzero(count > 1)[0]:
        box = boxes[part]
        here = labels[box] == part
        own = np.where(here, seeds[box], 0)
        flooded = watershed(-height[box].astype(np.float32), own.astype(np.int32), mask=here)
        present, number = np.unique(flooded[here], return_inverse=True)
        labels[box][here] = number + last + 1
        last += len(present)
    return labels


def drop_small(labels: np.ndarray, voxels: float) -> np.ndarray:
    """Set objects with fewer voxels to background and close the gaps in the numbers; in place."""
    from cc3d import statistics
    from fastremap import mask, renumber

    count = statistics(labels)["voxel_counts"]
    small = np.nonzero((count < voxels) & (count > 0))[0]
    small = small[small > 0]
    if len(small):
        labels = mask(labels, small.tolist(), in_place=True)
    return np.asarray(renumber(labels, in_place=True, preserve_zero=True)[0])
