"""Labels and outputs that upstream StarDist on TensorFlow gave, for models that it wrote (scripts/parity.py)."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stardist_golden import GOLDEN, MODELS, golden_image, unpack_model

from images.stardist3d.converter import load_folder
from images.stardist3d.network import StarDist3D
from images.stardist3d.prediction import predict, predict_polyhedra
from nucseg.runtime import compile_network


class ArrayView:
    """Normalised intensities as a view at zoom 1, with or without channels."""

    zoom = (1.0, 1.0, 1.0)

    def __init__(self, data: np.ndarray) -> None:
        self.data = data
        self.shape = data.shape[-3:]
        self.volume = SimpleNamespace(shape=self.shape)

    def read(self, region):
        return self.data[(..., *region)]

    def to_source(self, points):
        return points


@pytest.fixture(scope="module", params=MODELS)
def golden(request, tmp_path_factory):
    config, state, info = load_folder(unpack_model(request.param, tmp_path_factory.mktemp("golden")))
    module = StarDist3D(config)
    module.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    expected = np.load(GOLDEN / request.param / "expected.npz")
    view = ArrayView(golden_image(config.n_channel_in))
    network = compile_network(module, "cpu", exact=True)
    return SimpleNamespace(config=config, network=network, view=view, expected=expected, thresholds=info["thresholds"])


def test_every_configuration_is_there():
    assert len(MODELS) >= 6


def test_outputs_of_the_network(golden):
    view, config = golden.view, golden.config
    pad = [(0, -n % d) for n, d in zip(view.shape, config.divisor, strict=True)]
    data = view.data if view.data.ndim == 4 else view.data[None]
    logits, dist = golden.network(np.pad(data, [(0, 0), *pad], mode="reflect")[None])[:2]
    z, y, x = (slice(0, -(-n // g)) for n, g in zip(view.shape, config.grid, strict=True))
    prob = 1 / (1 + np.exp(-logits[0, 0][z, y, x]))
    np.testing.assert_allclose(prob[::4, ::3, ::3], golden.expected["prob"], atol=1e-4)
    found = np.moveaxis(np.maximum(dist[0][:, z, y, x], 1e-3), 0, -1)[::4, ::3, ::3, ::8]
    np.testing.assert_allclose(found, golden.expected["dist"], atol=1e-4 * golden.expected["dist"].max())


def test_labels_are_the_same_voxel_for_voxel(golden):
    labels = predict(golden.network, golden.view, golden.config, golden.thresholds).labels
    assert labels.max() > 1
    np.testing.assert_array_equal(labels, golden.expected["labels"])


def test_labels_are_the_same_in_tiles(golden):
    config = golden.config
    halo = [-(-field // step) * step for field, step in zip(config.receptive_field, config.divisor, strict=True)]
    tile = tuple(2 * h + 2 * d for h, d in zip(halo, config.divisor, strict=True))
    labels = predict(golden.network, golden.view, config, golden.thresholds, tile).labels
    np.testing.assert_array_equal(labels, golden.expected["labels"])


def test_class_probabilities_of_the_nuclei(golden):
    found = predict_polyhedra(golden.network, golden.view, golden.config, golden.thresholds).class_prob
    if golden.config.n_classes is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, golden.expected["class_prob"], atol=1e-4)
