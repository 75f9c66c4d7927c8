"""Seeds grow to nuclei, the same as by flooding the whole volume."""

import numpy as np
from skimage.segmentation import watershed

from nucseg.instances import components, drop_small, grow, peaks


def balls(centres, radius=6, shape=(24, 40, 40)):
    places = np.indices(shape)
    distance = np.min([np.linalg.norm(places - np.reshape(c, (3, 1, 1, 1)), axis=0) for c in centres], axis=0)
    return np.clip(radius - distance, 0, None).astype(np.float32)


TOUCHING = [(12, 12, 12), (12, 12, 22), (12, 30, 30)]


def test_touching_nuclei_are_divided_by_their_peaks():
    height = balls(TOUCHING)
    seeds = peaks(height, 3)
    assert seeds.max() == 3
    labels = grow(seeds, height, height > 0)
    assert len(np.unique(labels)) == 4
    assert len({int(labels[c]) for c in TOUCHING}) == 3
    assert np.array_equal(labels > 0, height > 0)


def test_growing_part_by_part_equals_flooding_the_whole():
    rng = np.random.default_rng(0)
    height = balls(rng.uniform(4, 30, (14, 3)), radius=5, shape=(34, 34, 34))
    mask, seeds = height > 0.5, peaks(height, 2)
    whole = watershed(-height, seeds.astype(np.int32), mask=mask)
    ours = grow(seeds, height, mask)
    assert len(np.unique(ours)) == len(np.unique(whole))
    # The same parts under other numbers.
    pairs = np.unique(np.stack([ours.ravel(), whole.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(whole))


def test_a_part_without_seed_is_a_nucleus_and_seeds_outside_do_not_count():
    mask = np.zeros((8, 8, 8), bool)
    mask[1:3, 1:3, 1:3] = mask[5:7, 5:7, 5:7] = True
    seeds = np.zeros(mask.shape, np.uint32)
    seeds[1, 1, 1] = 4
    seeds[0, 7, 7] = 5
    labels = grow(seeds, mask.astype(np.float32), mask)
    assert np.array_equal(labels > 0, mask)
    assert labels.max() == 2


def test_nothing_stays_nothing():
    empty = np.zeros((4, 4, 4), np.float32)
    assert peaks(empty, 2).max() == 0
    assert grow(peaks(empty, 2), empty, empty > 0).max() == 0
    assert drop_small(components(empty > 0), 5).max() == 0


def test_small_objects_go_and_numbers_close_up():
    labels = np.zeros((4, 4, 10), np.uint32)
    labels[:, :, :3], labels[0, 0, 5], labels[:, :, 7:] = 1, 2, 3
    kept = drop_small(labels, 5)
    assert sorted(np.unique(kept)) == [0, 1, 2]
    assert (kept[:, :, 7:] == 2).all()
    assert kept[0, 0, 5] == 0


def test_more_nuclei_than_sixteen_bits_can_number():
    mask = np.zeros((82, 82, 82), bool)
    mask[::2, ::2, ::2] = True
    assert components(mask).max() == 41**3 > 65_535
    assert len(np.unique(grow(components(mask), mask.astype(np.float32), mask))) == 41**3 + 1
