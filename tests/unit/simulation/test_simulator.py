"""The simulator: exact labels, images that show them, the same bytes for the same seed."""

import hashlib
from functools import cache
from math import ceil

import numpy as np
import pytest
from scipy import ndimage

from nucseg.errors import USAGE, NucsegError
from nucseg.simulation import presets, simulate
from nucseg.simulation.simulator import MINIMUM_VOXELS, number_labels

NAMES = ("embryo", "monolayer", "tissue", "plant", "dim")
SMALL = (24, 56, 56)

every_preset = pytest.mark.parametrize("name", NAMES)


@cache
def small(name, seed=3):
    return simulate(name, seed, SMALL)


def touching_pairs(labels):
    pairs = set()
    for axis in range(3):
        a, b = np.moveaxis(labels, axis, 0)[1:], np.moveaxis(labels, axis, 0)[:-1]
        meet = (a != b) & (a > 0) & (b > 0)
        pairs |= set(zip(np.minimum(a, b)[meet].tolist(), np.maximum(a, b)[meet].tolist(), strict=True))
    return pairs


def test_the_promised_presets_exist():
    assert set(presets()) == set(NAMES)


@every_preset
def test_labels_are_consecutive_connected_and_not_crumbs(name):
    _, labels = small(name)
    assert labels.dtype == np.uint16
    sizes = np.bincount(labels.ravel())
    assert len(sizes) > 2, "a volume of this size holds several nuclei"
    assert sizes[1:].min() >= MINIMUM_VOXELS
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        assert ndimage.label(labels[box] == number)[1] == 1


@every_preset
def test_volume_has_shape_type_and_voxel_size_of_the_preset(name):
    volume, labels = small(name)
    preset = presets()[name]
    assert volume.shape == labels.shape == SMALL
    assert volume.data.dtype in (np.uint8, np.uint16)
    z, y, x = volume.voxel_size
    assert y == x
    assert preset.diameter_um[0] / preset.diameter[1] <= x <= preset.diameter_um[1] / preset.diameter[0]
    assert preset.anisotropy[0] - 0.01 <= z / x <= preset.anisotropy[1] + 0.01


@every_preset
def test_nuclei_are_brighter_than_their_surroundings(name):
    volume, labels = small(name)
    data = volume.data.astype(float)
    brighter = [
        np.mean(part[labels[box] == number]) > np.mean(part[labels[box] == 0])
        for number, box in enumerate(ndimage.find_objects(labels), start=1)
        for part in [data[box]]
        if (labels[box] == 0).any()
    ]
    assert np.mean(brighter) > 0.9
    # Nearly saturated images would teach nothing.
    assert np.mean(volume.data == np.iinfo(volume.data.dtype).max) < 0.02


@every_preset
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(name):
    volume, labels = simulate(name, 3, SMALL)
    again, labels_again = small(name)
    other, labels_other = simulate(name, 4, SMALL)
    assert volume.data.tobytes() == again.data.tobytes()
    assert labels.tobytes() == labels_again.tobytes()
    assert volume.voxel_size == again.voxel_size
    assert labels.tobytes() != labels_other.tobytes()
    assert volume.data.tobytes() != other.data.tobytes()


GOLDEN: dict[str, tuple[str, str]] = {
    "embryo": ("4a67ce2c8a9fc391", "72b4a1e975cb7e45"),
    "monolayer": ("0105fdf3fa663bb5", "c8d5a6d32aba4a20"),
    "tissue": ("8f8adb777b6efd6e", "a788589341824bbd"),
    "plant": ("1cbba0785978900e", "0a38d1dfdaaa57c7"),
    "dim": ("85def469f837e14c", "403504b6be8be07d"),
}


@every_preset
def test_bytes_are_those_of_every_other_machine(name):
    volume, labels = small(name)
    little_endian = volume.data.astype(volume.data.dtype.newbyteorder("<"))
    found = [hashlib.sha256(a.tobytes()).hexdigest()[:16] for a in (little_endian, labels.astype("<u2"))]
    assert tuple(found) == GOLDEN[name], "the simulator changed: weights trained on it can't be made again"


def test_nuclei_of_crowded_tissue_touch():
    _, labels = simulate("tissue", 1, (32, 80, 80))
    assert len(touching_pairs(labels)) > labels.max() / 2


def test_image_and_labels_belong_to_the_same_points():
    # Over many nuclei the centre of the light is the centre of the label, along each axis.
    offsets = []
    for seed in range(5):
        volume, labels = simulate("embryo", seed, (32, 96, 96))
        excess = np.maximum(volume.data - np.median(volume.data[labels == 0]), 0)
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            mask = labels[box] == number
            at_border = any(s.start == 0 or s.stop == n for s, n in zip(box, labels.shape, strict=True))
            if at_border or mask.sum() < 150:
                continue
            light = ndimage.center_of_mass(excess[box] * mask)
            offsets.append(np.subtract(light, ndimage.center_of_mass(mask)))
    assert len(offsets) > 20
    assert np.all(np.abs(np.mean(offsets, axis=0)) < 0.2)


def test_other_presets_with_the_same_seed_are_other_specimens():
    assert small("plant")[1].tobytes() != small("dim")[1].tobytes()


@pytest.mark.parametrize("shape", [(4, 4, 4), (4, 40, 12), (40, 6, 50)])
def test_thin_shapes_work(shape):
    volume, labels = simulate("dim", 0, shape)
    assert volume.shape == labels.shape == shape


def test_unknown_preset_names_the_choices():
    with pytest.raises(NucsegError) as caught:
        simulate("tisue", 0)
    assert "tisue" in caught.value.cause
    assert all(name in caught.value.hint for name in NAMES)
    assert caught.value.exit_code == USAGE


@pytest.mark.parametrize(("seed", "shape"), [(-1, None), (0, (3, 40, 40)), (0, (40, 40))])
def test_impossible_requests_are_refused(seed, shape):
    with pytest.raises(NucsegError) as caught:
        simulate("embryo", seed, shape)
    assert caught.value.exit_code == USAGE


def test_numbering_keeps_the_largest_part_and_drops_crumbs_only():
    fine = np.zeros((8, 20, 20), np.int32)
    fine[1:4, 1:5, 1:5] = 1
    fine[6, 1:4, 1:4] = 1
    fine[1, 10:12, 10:12] = 2
    fine[1:4, 10:15, 15:19] = 5
    labels = number_labels(fine)
    assert np.array_equal(labels == 1, (fine == 1) & (np.arange(8) < 5)[:, None, None])
    assert np.array_equal(labels == 2, fine == 5)
    assert labels.max() == 2
    assert labels.dtype == np.uint16


def test_numbers_beyond_16_bits():
    side = ceil(MINIMUM_VOXELS ** (1 / 3))
    columns = np.arange(1, 70_001, dtype=np.int32).reshape(1, 250, 280)
    labels = number_labels(columns.repeat(side, 0).repeat(side, 1).repeat(side, 2))
    assert labels.dtype == np.uint32
    assert labels.max() == 70_000
