import numpy as np
import pytest
import torch
from torch import nn

from images.stardist3d.network import StarDist3D, StarDistConfig
from nucseg.errors import NucsegError
from nucseg.networks.blocks import SameConv3d, activation

UNET = {"unet_n_filter_base": 2, "net_conv_after": 2, "n_rays": 4}
RESNET = {"backbone": "resnet", "resnet_n_filter_base": 2, "net_conv_after": 2, "n_rays": 4}
CONFIGS = {
    "unet": {**UNET},
    "unet grid 1,2,2": {**UNET, "grid": (1, 2, 2)},
    "unet grid 1,2,4, pool 1,2,2": {**UNET, "grid": (1, 2, 4), "unet_pool": (1, 2, 2)},
    "unet depth 3": {**UNET, "unet_n_depth": 3},
    "unet grid 2, 3 convs, bare": {**UNET, "grid": (2, 2, 2), "unet_n_conv_per_depth": 3, "net_conv_after": 0},
    "resnet grid 1,2,2": {**RESNET, "grid": (1, 2, 2)},
    "resnet grid 2,4,4, 2 convs": {**RESNET, "grid": (2, 4, 4), "resnet_n_conv_per_block": 2},
}


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_outputs_lie_on_the_grid(options):
    config = StarDistConfig(**options, n_classes=2, n_channel_in=3)
    shape = tuple(2 * d for d in config.divisor)
    on_grid = tuple(s // g for s, g in zip(shape, config.grid, strict=True))
    with torch.inference_mode():
        prob, dist, classes = StarDist3D(config).eval()(torch.zeros(2, 3, *shape))
    assert prob.shape == (2, 1, *on_grid)
    assert dist.shape == (2, 4, *on_grid)
    assert classes.shape == (2, 3, *on_grid)


def test_size_of_the_network_of_the_published_demo_model():
    network = StarDist3D(StarDistConfig(backbone="resnet", grid=(1, 2, 2), anisotropy=(2.0, 1.0, 1.0)))
    assert sum(p.numel() for p in network.parameters()) == 1_547_201


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_receptive_field_is_what_the_network_looks_at(options):
    linear = {f"{part}_activation": "linear" for part in ("unet", "unet_last", "resnet")}
    config = StarDistConfig(**options, **linear)
    network = StarDist3D(config).double().eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    for axis in range(3):
        assert _measured_field(network, config, axis) == config.receptive_field[axis]


def _measured_field(network: StarDist3D, config: StarDistConfig, axis: int) -> int:
    """How far a gradient reaches, over all positions of an output within one period; pooling averages for this."""
    step, field, grid = config.divisor[axis], config.receptive_field[axis], config.grid[axis]
    shape = list(config.divisor)
    shape[axis] = (2 * -(-field // step) + 3) * step
    image = torch.zeros(1, 1, *shape, dtype=torch.double, requires_grad=True)
    averaging = nn.functional.avg_pool3d
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.functional, "max_pool3d", lambda x, size, *rest, **more: averaging(x, size))
        output = network(image)[0][0, 0].movedim(axis - 3, 0).sum((1, 2))
    first = shape[axis] // 2 // step * step // grid
    far = 0
    for position in range(first, first + max(1, step // grid)):
        gradient = torch.autograd.grad(output[position], image, retain_graph=True)[0][0, 0]
        seen = np.flatnonzero(gradient.movedim(axis - 3, 0).abs().sum((1, 2)).numpy())
        far = max(far, position * grid - seen[0], seen[-1] - position * grid)
    return far


def test_strided_convolution_pads_as_tensorflow_does():
    conv = SameConv3d(1, 1, (3, 1, 1), (2, 1, 1), bias=False)
    nn.init.ones_(conv.weight)
    line = torch.tensor([1.0, 2, 4, 8, 16, 32]).reshape(1, 1, 6, 1, 1)
    assert conv(line).flatten().tolist() == [7, 28, 48]


def test_unknown_activation_is_refused():
    with pytest.raises(NucsegError, match="mish"):
        activation("mish")


def test_config_speaks_upstreams_words():
    config = StarDistConfig(**CONFIGS["unet grid 1,2,4, pool 1,2,2"], anisotropy=(2.0, 1.0, 1.0), n_classes=3)
    written = config.to_dict()
    assert written["net_conv_after_unet"] == 2
    assert written["n_channel_out"] == 5
    assert not any(key.startswith("resnet_") for key in written)
    assert StarDistConfig.from_dict(written) == config


def test_old_config_without_newer_keys_takes_upstreams_defaults():
    config = StarDistConfig.from_dict({"backbone": "unet", "n_rays": 32, "grid": [1, 2, 2], "train_epochs": 3})
    assert config.n_classes is None
    assert config.unet_expansion == 2
    assert config.net_conv_after == 128
    assert len(config.rays()) == 32


def test_rays_take_the_anisotropy_of_the_model_when_they_have_none():
    spiral = {"name": "Rays_GoldenSpiral", "kwargs": {"n": 32, "anisotropy": None}}
    config = StarDistConfig.from_dict({"rays_json": spiral, "anisotropy": [4, 1, 1]})
    assert config.rays_json["kwargs"]["anisotropy"] == [4.0, 1.0, 1.0]
    assert spiral["kwargs"]["anisotropy"] is None


@pytest.mark.parametrize(
    ("name", "kwargs", "count"), [("Rays_Tetra", {"n_level": 3}, 34), ("Rays_Octo", {"n_level": 2}, 18)]
)
def test_other_rays_give_their_own_number(name, kwargs, count):
    config = StarDistConfig.from_dict({"rays_json": {"name": name, "kwargs": kwargs}, "n_rays": 96})
    assert config.n_rays == count


@pytest.mark.parametrize(
    "described",
    [
        {"backbone": "vit"},
        {"axes": "YXC"},
        {"grid": [1, 3, 3]},
        {"grid": [1, 2]},
        {"backbone": "resnet", "grid": [1, 32, 32]},
        {"rays_json": {"name": "__import__('os').system", "kwargs": {}}},
        {"unet_n_depth": "two"},
    ],
)
def test_config_that_can_not_be_built_is_refused(described):
    with pytest.raises(NucsegError):
        StarDist3D(StarDistConfig.from_dict(described))
