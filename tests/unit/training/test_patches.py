"""Training patches show nuclei at the wanted scale, with labels that fit the image."""

from pathlib import Path

import numpy as np
import pytest

from nucseg.scaling import isotropic
from nucseg.simulation import simulate
from nucseg.training.pairs import make_pair
from nucseg.training.patches import OUTSIDE, PatchPlan, cut_patch
from nucseg.volume import Volume


@pytest.fixture(scope="module")
def pair():
    return make_pair(*simulate("tissue", seed=3, shape=(40, 96, 96)))


def ball(voxel_size=(2.0, 1.0, 1.0)):
    """One ball of 20 µm in the middle of anisotropic voxels."""
    size = np.array(voxel_size)
    places = np.stack(
        np.meshgrid(*(np.arange(n) * s for n, s in zip((30, 60, 60), size, strict=False)), indexing="ij"), -1
    )
    labels = (np.linalg.norm(places - 30, axis=-1) < 10).astype(np.int32)
    return make_pair(Volume((labels * 900 + 100).astype(np.uint16), voxel_size, Path("b.tif")), labels)


def test_a_patch_depends_on_the_generator_alone(pair):
    plan = PatchPlan((32, 32, 32), 16.0, 1.5, 1.6, 0.5)
    first, second, other = (cut_patch(pair, plan, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_nuclei_get_the_wanted_diameter_whatever_the_voxels_are():
    pair = ball()
    assert isotropic(pair.volume) == 1.0
    plan = PatchPlan((48, 48, 48), 16.0)
    for seed in range(5):
        labels = cut_patch(pair, plan, np.random.default_rng(seed))[1]
        if (labels == 1).sum() > 1500:
            extents = [np.ptp(axis) + 1 for axis in np.nonzero(labels == 1)]
            assert np.cbrt((labels == 1).sum() * 6 / np.pi) == pytest.approx(16, rel=0.1)
            assert max(extents) - min(extents) <= 3
            return
    pytest.fail("no patch showed the whole ball")


def test_labels_lie_where_the_image_is_bright():
    plan = PatchPlan((48, 48, 48), 16.0, elastic=0.3)
    for seed in range(8):
        image, labels = cut_patch(ball(), plan, np.random.default_rng(seed))
        if (labels == 1).sum() > 200:
            assert image[labels == 1].mean() > image[labels == 0].mean() + 0.3


def test_outside_is_marked_and_labels_are_kept(pair):
    patches = [cut_patch(pair, PatchPlan((96, 96, 96), 16.0), np.random.default_rng(seed))[1] for seed in range(4)]
    known = set(np.unique(pair.labels)) | {OUTSIDE}
    assert all(set(np.unique(labels)) <= known for labels in patches)
    assert any((labels == OUTSIDE).any() for labels in patches)


def test_bending_moves_image_and_labels_alike():
    plan, bent = PatchPlan((48, 48, 48), 16.0, elastic=1.0), 0
    for seed in range(8):
        image, labels = cut_patch(ball(), plan, np.random.default_rng(seed))
        if (labels == 1).sum() > 1000:
            assert image[labels == 1].mean() > image[labels == 0].mean() + 0.3
            extents = [np.ptp(axis) + 1 for axis in np.nonzero(labels == 1)]
            bent += max(extents) - min(extents) >= 3
    assert bent >= 2


def test_planes_are_cut_along_all_three_axes(pair):
    plan = PatchPlan((1, 64, 64), 16.0)
    patches = [cut_patch(pair, plan, np.random.default_rng(seed)) for seed in range(6)]
    assert all(image.shape == labels.shape == (1, 64, 64) for image, labels in patches)
    assert sum((labels > 0).mean() > 0.02 for _, labels in patches) >= 3
