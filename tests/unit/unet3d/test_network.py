import numpy as np
import pytest
import torch

from images.unet3d.network import UNet3D, config_of_state
from nucseg.errors import USAGE, NucsegError
from nucseg.runtime import compile_network


@pytest.mark.parametrize(("f_maps", "parameters"), [(16, 1_021_132), (32, 4_081_300)])
def test_number_of_parameters_is_upstreams(f_maps, parameters):
    with torch.device("meta"):
        network = UNet3D(in_channels=1, out_channels=2, f_maps=f_maps)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("out_channels", [1, 2])
@pytest.mark.parametrize("num_levels", [2, 4])
def test_outputs_have_the_shape_of_the_image(out_channels, num_levels):
    network = UNet3D(out_channels=out_channels, f_maps=8, num_levels=num_levels).eval()
    assert network.divisor == (2 ** (num_levels - 1),) * 3
    z, y, x = (d * n for d, n in zip(network.divisor, (1, 2, 3), strict=True))
    with torch.no_grad():
        outputs = network(torch.rand(2, 1, z, y, x))
    assert isinstance(outputs, tuple)
    assert [output.shape for output in outputs] == [(2, 1, z, y, x)] * out_channels


@pytest.mark.parametrize("order", ["gcr", "crg", "cge", "cbl"])
def test_compiled_network_gives_what_torch_gives_for_any_shape(order):
    torch.manual_seed(0)
    network = UNet3D(f_maps=8, num_levels=3, layer_order=order).eval()
    compiled = compile_network(network, "cpu", exact=True)
    for shape in ((4, 8, 12), (16, 12, 8)):
        x = torch.rand(1, 1, *shape)
        with torch.no_grad():
            expected = network(x)
        found = compiled(x.numpy())
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-4)


def test_traced_network_takes_other_shapes():
    network = UNet3D(f_maps=8, num_levels=3).eval()
    traced = torch.jit.trace(network, torch.rand(1, 1, 8, 8, 8))
    x = torch.rand(1, 1, 4, 8, 12)
    with torch.no_grad():
        torch.testing.assert_close(traced(x), network(x))


@pytest.mark.parametrize(
    "config",
    [
        {"in_channels": 1, "out_channels": 2, "f_maps": 16, "num_levels": 4, "layer_order": "gcr", "num_groups": 8},
        {"in_channels": 3, "out_channels": 1, "f_maps": 8, "num_levels": 2, "layer_order": "bcr", "num_groups": 8},
        {"in_channels": 1, "out_channels": 2, "f_maps": 6, "num_levels": 5, "layer_order": "cr", "num_groups": 8},
    ],
)
def test_configuration_is_found_in_the_weights(config):
    with torch.device("meta"):
        state = UNet3D(**config).state_dict()
    assert config_of_state(state) == config
    # safetensors keeps names in the order of the alphabet
    assert config_of_state({name: state[name] for name in sorted(state)}) == config


def test_place_of_the_relu_is_not_guessed():
    with torch.device("meta"):
        state = UNet3D(f_maps=8, layer_order="crg").state_dict()
    with pytest.raises(NucsegError, match="after the convolution"):
        config_of_state(state)


def _without_a_weight(state):
    del state["decoders.1.basic_module.SingleConv2.conv.weight"]


def _with_another_weight(state):
    state["decoders.0.upsampling.upsample.conv_transposed.weight"] = torch.zeros(64, 32, 3, 3, 3)


def _with_another_kernel(state):
    name = "encoders.1.basic_module.SingleConv1.conv.weight"
    state[name] = torch.zeros(*state[name].shape[:2], 5, 5, 5)


def _without_decoders(state):
    for name in [name for name in state if name.startswith("decoders")]:
        del state[name]


@pytest.mark.parametrize(
    "change", [_without_a_weight, _with_another_weight, _with_another_kernel, _without_decoders, dict.clear]
)
def test_weights_of_other_networks_are_refused(change):
    state = UNet3D(f_maps=8).state_dict()
    change(state)
    with pytest.raises(NucsegError) as caught:
        config_of_state(state)
    assert caught.value.exit_code == USAGE


@pytest.mark.parametrize(
    "config",
    [{"layer_order": "gxr"}, {"layer_order": "gr"}, {"layer_order": "rgc"}, {"num_levels": 1}, {"f_maps": 4}],
)
def test_impossible_configurations_are_refused(config):
    with pytest.raises(NucsegError):
        UNet3D(**config)
