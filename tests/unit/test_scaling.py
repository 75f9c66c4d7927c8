"""The scale at which a network sees a volume."""

from pathlib import Path

import numpy as np
import pytest

from nucseg.errors import NucsegError
from nucseg.scaling import (
    LADDER,
    LOOK,
    REFINEMENTS,
    View,
    busiest_window,
    choose_zoom,
    find_diameter,
    fit_view,
    isotropic,
    measure_diameter,
    zoom_to_diameter,
)
from nucseg.volume import Volume


def volume_of(data, voxel_size=None):
    return Volume(data, voxel_size, Path("x.tif"))


def balls(shape, diameter, voxel_size, spacing=1.6):
    """Bright balls on a lattice; `diameter` in voxels of the finest axis."""
    size = np.array(voxel_size) / min(voxel_size)
    places = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, size, strict=False)), indexing="ij"), -1)
    step = spacing * diameter
    offset = (places + step / 2) % step - step / 2
    return ((np.linalg.norm(offset - 0, axis=-1) < diameter / 2) * 1000 + 100).astype(np.uint16)


def test_a_window_of_a_view_is_the_same_place_in_the_source():
    data = np.random.default_rng(0).integers(0, 1000, (20, 30, 40)).astype(np.uint16)
    window = (slice(4, 16), slice(10, 30), slice(0, 20))
    view = View(volume_of(data), (1.0, 1.0, 1.0), (0, 1000), window)
    assert view.shape == (12, 20, 20)
    assert view.read((slice(0, 12),) * 3)[3, 4, 5] == pytest.approx(data[7, 14, 5] / 1000)
    assert view.to_source(np.array([[3, 4, 5]])).tolist() == [[7, 14, 5]]


def test_blocks_of_a_zoomed_view_equal_the_whole():
    data = np.random.default_rng(1).integers(0, 255, (17, 23, 31)).astype(np.uint8)
    view = View(volume_of(data), (2.1, 0.7, 0.7), (3.0, 250.0))
    whole = view.read(tuple(slice(0, n) for n in view.shape))
    assert np.array_equal(view.read((slice(5, 20), slice(3, 9), slice(11, 21))), whole[5:20, 3:9, 11:21])


def test_a_network_sees_a_sparse_image_from_0_to_1():
    data = np.full((20, 30, 40), 100, np.uint16)
    data[8:12, 8:12, 8:12] = 900
    declared = {"percentiles": [1, 99.8]}
    view = fit_view(volume_of(data), declared, 0.0, lambda view: (np.empty(0), np.empty(0)), lambda done, text: None)
    seen = view.read(tuple(slice(0, n) for n in view.shape))
    assert np.unique(seen).tolist() == [0, 1]


@pytest.mark.parametrize(("voxel_size", "diameter"), [((1.0, 0.2, 0.2), 0.008), ((1000.0, 1.0, 1.0), 1.0), (None, 0.1)])
def test_a_scale_that_comes_from_a_wrong_unit_is_refused(voxel_size, diameter):
    volume = volume_of(np.random.default_rng(2).integers(0, 9, (10, 20, 20)).astype(np.uint8), voxel_size)
    declared = {"percentiles": [1, 99.8], "nucleus_diameter_voxels": 16.0}
    with pytest.raises(NucsegError, match="voxels for each one") as caught:
        fit_view(volume, declared, diameter, lambda view: (np.empty(0), np.empty(0)), lambda done, text: None)
    assert "--nucleus_diameter" in caught.value.hint


def test_nuclei_larger_than_the_volume_are_told(capsys):
    volume = volume_of(np.random.default_rng(2).integers(0, 9, (10, 20, 20)).astype(np.uint8))
    declared = {"percentiles": [1, 99.8], "nucleus_diameter_voxels": 16.0}
    fit_view(volume, declared, 600.0, lambda view: (np.empty(0), np.empty(0)), lambda done, text: None)
    assert f"nuclei of 600 voxels are larger than {volume.source.name}: check the unit" in capsys.readouterr().out


def test_a_wrong_unit_is_refused_also_where_the_model_declares_the_size_of_its_voxels():
    volume = volume_of(np.random.default_rng(2).integers(0, 9, (10, 20, 20)).astype(np.uint8), (300.0, 100.0, 100.0))
    declared = {"percentiles": [1, 99.8], "voxel_size_um": [0.3, 0.1, 0.1]}
    with pytest.raises(NucsegError, match="voxels of 300 x 100 x 100 µm"):
        fit_view(volume, declared, 0.0, lambda view: (np.empty(0), np.empty(0)), lambda done, text: None)


def test_points_and_labels_come_back_to_the_source():
    data = np.zeros((10, 40, 40), np.uint8)
    data[4:6, 20:30, 10:20] = 200
    view = View(volume_of(data), (2.0, 0.5, 0.5), (0, 200))
    seen = view.read(tuple(slice(0, n) for n in view.shape))
    centre = view.to_source(np.argwhere(seen > 0.5).mean(axis=0)[None])[0]
    assert np.allclose(centre, [4.5, 24.5, 14.5], atol=0.3)
    labels = view.labels_to_source((seen > 0.5).astype(np.int32), seen, 0.45)
    assert np.array_equal(np.unique(labels), [0, 1])
    assert ((labels > 0) != (data > 0)).sum() < 0.1 * (data > 0).sum()


def test_outlines_that_come_back_are_smooth():
    """A ball that is small at the model's scale is a ball in the source, not a pile of blocks."""
    places = np.indices((60, 61, 62)) - 30
    distance = np.linalg.norm(places, axis=0)
    ball = distance < 20
    view = View(volume_of(np.clip(128 - 20 * (distance - 20), 0, 255).astype(np.uint8)), (0.25, 0.25, 0.25), (0, 255))
    seen = view.read(tuple(slice(0, n) for n in view.shape))
    labels = view.labels_to_source((seen > 0.5).astype(np.int32) * 7, seen, 0.5)
    assert set(np.unique(labels)) == {0, 7}
    overlap = (ball & (labels > 0)).sum() / (ball | (labels > 0)).sum()
    assert labels.shape == ball.shape
    assert overlap > 0.9


@pytest.mark.parametrize(
    ("declared", "voxel_size", "diameter", "zoom"),
    [
        ({}, (2.0, 1.0, 1.0), 10.0, (1, 1, 1)),
        ({"voxel_size_um": [0.5, 0.5, 0.5]}, (2.0, 1.0, 1.0), 0.0, (4, 2, 2)),
        ({"voxel_size_um": [0.5, 0.5, 0.5]}, None, 0.0, (1, 1, 1)),
        ({"nucleus_diameter_voxels": 16.0}, (2.0, 0.5, 0.5), 8.0, (4, 1, 1)),
        ({"nucleus_diameter_voxels": 16.0}, None, 32.0, (0.5, 0.5, 0.5)),
        ({"nucleus_diameter_voxels": 16.0}, None, 0.0, None),
    ],
)
def test_the_rule(declared, voxel_size, diameter, zoom):
    assert choose_zoom(volume_of(np.zeros((4, 4, 4)), voxel_size), declared, diameter) == zoom


@pytest.mark.parametrize(
    ("diameter", "voxel_size"), [(9.0, (1.0, 1.0, 1.0)), (24.0, (3.0, 1.0, 1.0)), (40.0, (0.5, 0.25, 0.25))]
)
def test_the_diameter_is_measured_by_what_is_found(diameter, voxel_size):
    """A threshold and connected components stand for the network; they see sizes without bias."""
    from scipy import ndimage

    shape = tuple(int(100 * min(voxel_size) / s) for s in voxel_size)
    volume = volume_of(balls(shape, diameter, voxel_size), voxel_size)

    def look(zoom, window):
        view = View(volume, zoom, (100, 1100), window)
        assert np.prod(view.shape) < 1.2 * LOOK
        labels, count = ndimage.label(view.read(tuple(slice(0, n) for n in view.shape)) > 0.5)
        inside = [i for i, box in enumerate(ndimage.find_objects(labels)) if all(s.start > 0 for s in box)]
        sizes = np.cbrt(np.bincount(labels.ravel(), minlength=count + 1)[1:][inside] * 6 / np.pi)
        return sizes, np.ones(len(sizes))

    assert measure_diameter(volume, 16.0, look) == pytest.approx(diameter, rel=0.12)


def test_nothing_to_measure():
    volume = volume_of(np.zeros((30, 30, 30), np.uint8))
    assert measure_diameter(volume, 16.0, lambda zoom, window: (np.empty(0), np.empty(0))) == 0


def test_the_busiest_window_holds_the_signal_and_is_not_too_large():
    data = np.zeros((100, 400, 400), np.uint16)
    data[60:80, 300:330, 40:70] = 500
    zoom = (1.0, 1.0, 1.0)
    window = busiest_window(volume_of(data), zoom, LOOK)
    assert data[window].sum() > 0.95 * data.sum()
    assert np.prod([s.stop - s.start for s in window]) <= LOOK


def test_looks_are_told(capsys):
    told = []
    volume = volume_of(balls((40, 40, 40), 9.0, (1.0, 1.0, 1.0)), (0.5, 0.5, 0.5))
    look = lambda view: (np.array([16.0]), np.array([0.9]))  # noqa: E731
    found = find_diameter(volume, 16.0, (0.0, 1.0), look, lambda done, text: told.append((done, text)))
    looks = len(LADDER) + REFINEMENTS
    assert told == [(0.0, f"measuring the nucleus diameter, look {i}/{looks}") for i in range(1, looks + 1)]
    assert f"nucleus diameter measured as {found / 2:.3g} µm" in capsys.readouterr().out


def test_diameters_count_in_the_finest_axis():
    volume = volume_of(np.zeros((4, 4, 4)), (2.0, 0.5, 0.5))
    assert isotropic(volume) == 0.5
    assert zoom_to_diameter(volume, 32.0, 16.0) == (2.0, 0.5, 0.5)


@pytest.mark.parametrize("shape", [(30, 50, 60), (5, 400, 300), (400, 400, 3), (200, 200, 200)])
@pytest.mark.parametrize("zoom", [0.2, 1.0, 3.0])
def test_the_window_is_as_large_as_it_may_be(shape, zoom):
    window = busiest_window(volume_of(np.ones(shape, np.uint8)), (zoom,) * 3, LOOK)
    seen = np.prod([(s.stop - s.start) * zoom for s in window])
    assert seen <= LOOK
    assert seen > 0.8 * min(LOOK, np.prod(np.array(shape) * zoom))
