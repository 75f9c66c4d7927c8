"""Outputs that pytorch-3dunet 1.9.6 gave, for checkpoints that it wrote (scripts/oracles/unet3d_golden.py)."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from images.unet3d.converter import load_published
from images.unet3d.network import UNet3D
from nucseg.runtime import compile_network


@pytest.fixture(scope="module", params=["gcr", "bcr", "cr"])
def golden(request, tmp_path_factory, golden_folder, unpack_checkpoint):
    config, state, _ = load_published(unpack_checkpoint(request.param, tmp_path_factory.mktemp("golden")))
    module = UNet3D(**config)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    expected = np.load(golden_folder / "expected.npz")
    return SimpleNamespace(
        order=request.param,
        config=config,
        module=module.eval(),
        image=expected["image"],
        outputs=expected[request.param],
    )


def probabilities(outputs):
    return 1 / (1 + np.exp(-np.concatenate([np.asarray(output) for output in outputs], axis=1)))


def test_configuration_is_found(golden):
    assert golden.config["layer_order"] == golden.order
    assert golden.config["num_levels"] == 3
    assert golden.config["out_channels"] == 2


def test_outputs_of_torch(golden):
    assert np.ptp(golden.outputs) > 0.2
    with torch.no_grad():
        found = golden.module(torch.from_numpy(golden.image))
    np.testing.assert_allclose(probabilities(found), golden.outputs, rtol=0, atol=1e-5)


def test_outputs_as_compiled_for_the_cpu(golden):
    found = compile_network(golden.module, "cpu", exact=True)(golden.image)
    np.testing.assert_allclose(probabilities(found), golden.outputs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("golden", ["gcr"], indirect=True)
def test_linear_scaling_of_the_image_does_not_matter_where_the_first_layer_normalises(golden):
    standardised = (golden.image - golden.image.mean()) / golden.image.std()
    with torch.no_grad():
        found = golden.module(torch.from_numpy(standardised))
    np.testing.assert_allclose(probabilities(found), golden.outputs, rtol=0, atol=1e-3)
