import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from images.stardist3d import prediction
from images.stardist3d.config import StarDistConfig
from images.stardist3d.network import StarDist3D
from images.stardist3d.prediction import (
    Polyhedra,
    at_peaks,
    polyhedra_volumes,
    predict,
    predict_candidates,
    predict_polyhedra,
    render,
)
from nucseg.errors import NucsegError
from nucseg.tiling import padded_shape, plan_tiles

CONFIG = StarDistConfig(n_rays=32, grid=(1, 2, 2), unet_n_depth=1, unet_n_filter_base=2, net_conv_after=2)


class ArrayView:
    """An array seen at a zoom; the source is `zoom` times coarser or finer."""

    def __init__(self, data: np.ndarray, zoom=(1.0, 1.0, 1.0)) -> None:
        self.data, self.shape, self.zoom = data, data.shape, zoom
        self.volume = SimpleNamespace(shape=tuple(round(n / z) for n, z in zip(data.shape, zoom, strict=True)))

    def read(self, region):
        return self.data[region]

    def to_source(self, points):
        return (points + 0.5) / np.array(self.zoom) - 0.5


def bright_spots(config: StarDistConfig, radius: float = 4.0):
    """A network that sees a ball around every grid position whose voxel is above 0; of one class, if asked."""

    def network(x: np.ndarray) -> tuple[np.ndarray, ...]:
        on_grid = x[:, :, :: config.grid[0], :: config.grid[1], :: config.grid[2]]
        logits = np.where(on_grid > 0, on_grid, -20).astype(np.float32)
        dist = np.full((1, config.n_rays, *on_grid.shape[2:]), radius, np.float32)
        return logits, dist

    return network


def volume_with(points, shape=(16, 24, 28), value=2.0) -> np.ndarray:
    volume = np.zeros(shape, np.float32)
    for point in points:
        volume[point] = value
    return volume


def candidates(volume, config=CONFIG, network=None, prob=0.5, tile=None, **kwargs) -> Polyhedra:
    tiles = plan_tiles(volume.shape, tile or padded_shape(volume.shape, config.divisor), (0, 0, 0), config.divisor)
    return predict_candidates(network or bright_spots(config), ArrayView(volume), config, prob, tiles, **kwargs)


def test_one_spot_becomes_one_ball():
    found = predict(bright_spots(CONFIG), ArrayView(volume_with([(8, 12, 14)])), CONFIG, {"prob": 0.5, "nms": 0.4})
    labels = found.labels
    assert found.columns["probability"].tolist() == pytest.approx([0.881], abs=1e-3)
    assert labels.dtype == np.int32
    assert labels.max() == 1
    assert tuple(np.rint(np.argwhere(labels).mean(axis=0))) == (8, 12, 14)
    assert labels.sum() == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.2)


def test_nothing_above_the_threshold_gives_an_empty_label_image():
    labels = predict(bright_spots(CONFIG), ArrayView(volume_with([])), CONFIG, {"prob": 0.5, "nms": 0.4}).labels
    assert labels.shape == (16, 24, 28)
    assert not labels.any()


def test_border_of_the_padded_volume_gives_no_candidates():
    # Padded to (16, 24, 28): the last two grid positions along X are 24 and 26, and 25 is the volume's end.
    inside, low, high = (8, 12, 22), (8, 12, 2), (8, 12, 24)
    found = candidates(volume_with([inside, low, high], shape=(15, 24, 25)))
    assert [tuple(p) for p in found.points] == [inside]


def test_border_beyond_the_volume_does_not_count():
    # Padded by three slices to 16, so that slices 14 and 15 are the border, and 12 is inside.
    config = StarDistConfig(n_rays=32, unet_n_depth=2)
    found = candidates(volume_with([(12, 12, 12)], shape=(13, 24, 28)), config)
    assert [tuple(p) for p in found.points] == [(12, 12, 12)]


def test_tiles_give_the_same_candidates_in_the_same_order():
    volume = np.random.default_rng(0).normal(size=(16, 24, 28)).astype(np.float32)
    whole, tiled = candidates(volume), candidates(volume, tile=(4, 8, 8))
    assert len(whole) > 100
    np.testing.assert_array_equal(whole.points, tiled.points)
    np.testing.assert_array_equal(whole.prob, tiled.prob)


@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 20, 20), (7, 13, 30)])
def test_tiled_network_sees_what_the_whole_one_sees(shape):
    torch.manual_seed(0)
    module = StarDist3D(CONFIG).eval()

    def network(x):
        with torch.inference_mode():
            return tuple(output.numpy() for output in module(torch.from_numpy(x)))

    view = ArrayView(np.random.default_rng(0).random(shape, np.float32))
    long = ArrayView(np.concatenate([view.data] * 6, axis=2))
    for seen in (view, long):
        tiles = plan_tiles(seen.shape, (8, 52, 56), CONFIG.receptive_field, CONFIG.divisor)
        whole = plan_tiles(seen.shape, padded_shape(seen.shape, CONFIG.divisor), CONFIG.receptive_field, CONFIG.divisor)
        found, expected = (predict_candidates(network, seen, CONFIG, 0.1, t) for t in (tiles, whole))
        np.testing.assert_array_equal(found.points, expected.points)
        np.testing.assert_allclose(found.dist, expected.dist, atol=1e-5)


def test_too_many_candidates_stop_early_with_a_remedy():
    seen = []
    with pytest.raises(NucsegError, match="candidates") as caught:
        candidates(
            volume_with([]) + 1, tile=(4, 24, 28), max_candidates=50, progress=lambda done, text: seen.append(text)
        )
    assert "--max_candidates" in caught.value.hint
    assert len(seen) < 4


def test_candidates_are_too_many_by_their_share_of_the_volume(monkeypatch):
    monkeypatch.setattr(prediction, "FEW", 10)
    few = (np.random.default_rng(0).random((16, 24, 28)) < 0.2).astype(np.float32)
    assert len(candidates(few)) > 10
    with pytest.raises(NucsegError, match="the model doesn't suit"):
        candidates(few + 1)


def test_candidates_that_do_not_fit_into_memory_are_too_many(monkeypatch):
    many = (np.random.default_rng(0).random((16, 24, 28)) < 0.2).astype(np.float32)
    monkeypatch.setattr(prediction, "available_memory", lambda device: 10_000)
    with pytest.raises(NucsegError, match="more than fit into the free memory") as caught:
        candidates(many)
    assert "memory" in caught.value.hint


@pytest.mark.parametrize("output", [0, 1])
def test_output_that_is_not_a_number_is_an_error(output):
    def network(x):
        outputs = bright_spots(CONFIG)(x)
        outputs[output][...] = np.nan
        return outputs

    with pytest.raises(NucsegError, match="NaN"):
        candidates(volume_with([(8, 12, 14)]), network=network)


def test_enormous_polyhedra_are_an_error():
    with pytest.raises(NucsegError, match="radius"):
        predict(
            bright_spots(CONFIG, radius=1e6), ArrayView(volume_with([(8, 12, 14)])), CONFIG, {"prob": 0.5, "nms": 0.4}
        )


def test_model_for_several_channels_says_so():
    config = StarDistConfig(n_rays=32, n_channel_in=2)
    with pytest.raises(NucsegError, match="2 input channels"):
        candidates(volume_with([]), config=config)


def test_classes_come_with_their_nuclei():
    config = StarDistConfig(n_rays=32, n_classes=2)
    volume = volume_with([(8, 12, 6), (8, 12, 20)])
    volume[8, 12, 20] = 3

    def network(x):
        outputs = bright_spots(config)(x)
        classes = np.zeros((1, 3, *x.shape[2:]), np.float32)
        classes[0, 1], classes[0, 2] = 5, 10 * (x[0, 0] == 3)
        return (*outputs, classes)

    found = predict_polyhedra(network, ArrayView(volume), config, {"prob": 0.5, "nms": 0.4})
    assert found.class_prob is not None
    assert found.class_prob.argmax(axis=1).tolist() == [2, 1]
    np.testing.assert_allclose(found.class_prob.sum(axis=1), 1, rtol=1e-6)
    segmented = predict(network, ArrayView(volume), config, {"prob": 0.5, "nms": 0.4})
    first, second = segmented.labels[8, 12, 20] - 1, segmented.labels[8, 12, 6] - 1
    assert segmented.columns["class"][[first, second]].tolist() == [2, 1]
    assert (segmented.columns["class_probability"] > 0.9).all()


@pytest.mark.parametrize("zoom", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_labels_are_drawn_in_the_voxels_of_the_source(zoom):
    view = ArrayView(volume_with([(8, 12, 14)]), zoom)
    labels = predict(bright_spots(CONFIG, radius=6), view, CONFIG, {"prob": 0.5, "nms": 0.4}).labels
    assert labels.shape == view.volume.shape
    extent = np.ptp(np.argwhere(labels), axis=0) + 1
    np.testing.assert_allclose(extent, 12 / np.array(zoom), atol=2.1)


def test_labels_stay_consecutive_when_a_nucleus_is_covered():
    points = np.array([[8, 12, 14], [8, 12, 14], [8, 12, 24]], np.int32)
    dist = np.repeat(np.array([[5], [2], [2]], np.float32), 32, axis=1)
    found = Polyhedra(points, np.array([0.9, 0.8, 0.7], np.float32), dist)
    result = render(found, ArrayView(volume_with([])), CONFIG)
    labels = result.labels
    assert result.columns["probability"].tolist() == pytest.approx([0.9, 0.7])
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert labels[8, 12, 24] == 2


def test_volumes_of_polyhedra():
    dist = np.array([[3], [6]], np.float32) * np.ones(512, np.float32)
    volumes = polyhedra_volumes(dist, StarDistConfig(n_rays=512, anisotropy=(2.0, 1.0, 1.0)))
    np.testing.assert_allclose(volumes, 4 / 3 * np.pi * np.array([3, 6]) ** 3, rtol=0.03)


def test_native_code_leaves_standard_output_and_ctrl_c_alone(capfd):
    before = signal.getsignal(signal.SIGINT)
    dense = volume_with([(z, y, x) for z in (5, 8) for y in (8, 10) for x in (8, 10, 12)])
    predict(bright_spots(CONFIG), ArrayView(dense), CONFIG, {"prob": 0.5, "nms": 0.4})
    assert capfd.readouterr().out == ""
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_peaks_are_what_no_near_position_exceeds():
    volume = volume_with([(8, 12, 14), (8, 12, 20)], value=3.0)
    for point in [(8, 12, 16), (7, 14, 14), (9, 8, 14)]:
        volume[point] = 2.0
    found = candidates(volume)
    kept = found[at_peaks(found, CONFIG.grid)]
    assert kept.points.tolist() == [[8, 12, 14], [8, 12, 20]]
    nothing = candidates(volume_with([]))
    assert at_peaks(nothing, CONFIG.grid).tolist() == []
