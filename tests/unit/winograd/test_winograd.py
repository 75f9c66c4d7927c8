"""Every kind of layer against torch in float64, at shapes that leave remainders everywhere."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from nucseg.winograd import UnsupportedNetworkError, WinogradNetwork, emit, execute

relu = functional.relu


def conv(channels_in, channels_out, kernel=3, stride=1, **more):
    return nn.Conv3d(channels_in, channels_out, kernel, stride, padding=kernel // 2, **more)


class Chain(nn.Module):
    """Plain convolutions; channels that fill no vector, one, and several."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([conv(1, 5), conv(5, 32), conv(32, 48), conv(48, 7)])
        self.head = nn.Conv3d(7, 3, 1)

    def forward(self, x):
        for layer in self.layers:
            x = relu(layer(x))
        return (self.head(x),)


class Pooled(nn.Module):
    """Both poolings, the skips of a U-Net, upsampling along all and along two axes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([conv(2, 16), conv(16, 16), conv(16, 32), conv(32, 32), conv(48, 16), conv(32, 16)])
        self.heads = nn.ModuleList([nn.Conv3d(16, 1, 1), nn.Conv3d(16, 20, 1)])

    def forward(self, x):
        a = relu(self.layers[1](relu(self.layers[0](x))))
        small = functional.max_pool3d(a, (1, 2, 2))
        b = relu(self.layers[2](small))
        c = relu(self.layers[3](functional.max_pool3d(b, 2)))
        b = functional.interpolate(c, size=b.shape[2:])
        b = relu(self.layers[4](torch.cat([b, small], 1)))
        a = relu(self.layers[5](torch.cat([functional.interpolate(b, scale_factor=(1, 2, 2)), a], 1)))
        return tuple(head(a) for head in self.heads)


class Residual(nn.Module):
    """A wide first kernel, strides with uneven padding, projections, sums, normalisation."""

    def __init__(self):
        super().__init__()
        self.entry = nn.Sequential(conv(1, 16, 7), conv(16, 16))
        self.down = nn.Conv3d(16, 24, 3, (1, 2, 2), bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm3d(24, eps=1e-3), nn.BatchNorm3d(24)])
        self.convs = nn.ModuleList([conv(24, 24, bias=False), conv(24, 24), conv(24, 24)])
        self.projection = nn.Conv3d(16, 24, 1, (1, 2, 2))
        self.same = nn.Identity()
        self.head = nn.Conv3d(24, 4, 1)

    def forward(self, x):
        x = self.entry(x)
        inner = relu(self.norms[0](self.down(functional.pad(x, (0, 1, 0, 1, 1, 1)))))
        x = relu(self.projection(x) + self.norms[1](self.convs[0](inner)))
        x = relu(self.same(x) + self.convs[2](relu(self.convs[1](x))))
        return (self.head(x),)


NETWORKS = {"chain": (Chain, (5, 7, 35)), "pooled": (Pooled, (6, 20, 28)), "residual": (Residual, (3, 10, 34))}


def build(kind):
    torch.manual_seed(0)
    module = kind().eval().requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm3d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module


def volume_for(module, shape):
    channels = next(module.parameters()).shape[1]
    return np.random.default_rng(1).standard_normal((1, channels, *shape), np.float32)


def expected(module, x):
    with torch.inference_mode():
        outputs = [out.numpy() for out in module.double()(torch.from_numpy(x).double())]
    module.float()
    return outputs


@pytest.fixture(params=[16, 8], ids=["512-bit", "256-bit"])
def processor(request, monkeypatch):
    known = emit.processor()
    if known is None or known.lanes < request.param:
        pytest.skip("this processor is narrower")
    if request.param == 8:
        known = emit.Processor(8, (4, 5, 6), False)
    monkeypatch.setattr(execute, "processor", lambda: known)
    return known


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_differs_from_torch_by_rounding_only(name, processor):
    kind, shape = NETWORKS[name]
    module = build(kind)
    x = volume_for(module, shape)
    for found, wanted in zip(WinogradNetwork(module, 2)(x), expected(module, x), strict=True):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-5 * wanted.std()


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_stays_within_its_precision(name):
    known = emit.processor()
    if known is None or not known.bfloat16:
        pytest.skip("this processor has no bfloat16")
    kind, shape = NETWORKS[name]
    module = build(kind)
    x = volume_for(module, shape)
    for found, wanted in zip(WinogradNetwork(module, 2, bfloat16=True)(x), expected(module, x), strict=True):
        error = found - wanted
        assert np.sqrt((error**2).mean()) < 0.02 * wanted.std()


@pytest.mark.parametrize("bfloat16", [False, True])
def test_threads_and_the_place_of_a_tile_do_not_change_a_bit(bfloat16):
    known = emit.processor()
    if known is None or (bfloat16 and not known.bfloat16):
        pytest.skip("this processor can't")
    module = build(Pooled)
    x = volume_for(module, (20, 40, 64))
    whole = WinogradNetwork(module, 1, bfloat16=bfloat16)(x)[1]
    network = WinogradNetwork(module, 3, bfloat16=bfloat16)
    assert network.alignment == (4, 8, 8)
    # What was cut off is seen from 10 slices and 18 voxels away.
    tile = network(np.ascontiguousarray(x[:, :, 4:, 8:, 8:60]))[1]
    np.testing.assert_array_equal(tile[:, :, 10:, 18:, 18:-18], whole[:, :, 14:, 26:, 26:-22])


def test_results_stay_after_the_next_run():
    module = build(Chain)
    network = WinogradNetwork(module, 1)
    x = volume_for(module, (4, 6, 8))
    first = network(x)[0]
    kept = first.copy()
    network(2 * x)
    np.testing.assert_array_equal(first, kept)


def test_a_batch_is_its_volumes_one_by_one():
    module = build(Pooled)
    network = WinogradNetwork(module, 1)
    x = np.concatenate([volume_for(module, (4, 8, 8)), 2 * volume_for(module, (4, 8, 8))])
    together = network(x)[1]
    np.testing.assert_array_equal(together, np.concatenate([network(x[:1])[1], network(x[1:])[1]]))


def test_long_volumes_run_through_ring_buffers(monkeypatch):
    monkeypatch.setattr(execute, "RING_BYTES", 1)
    for kind, shape in NETWORKS.values():
        module = build(kind)
        z, y, x = shape
        volume = volume_for(module, (4 * z, y, x))
        for found, wanted in zip(WinogradNetwork(module, 2)(volume), expected(module, volume), strict=True):
            assert np.abs(found - wanted).max() < 1e-5 * wanted.std()


def test_what_is_not_a_number_stays_visible():
    module = build(Chain)
    x = volume_for(module, (4, 6, 8))
    x[0, 0, 2, 3, 4] = np.nan
    assert np.isnan(WinogradNetwork(module, 1)(x)[0]).any()


def test_a_shape_that_does_not_divide_is_refused():
    module = build(Pooled)
    with pytest.raises(ValueError, match="multiples"):
        WinogradNetwork(module, 1)(volume_for(module, (4, 8, 10)))


class Unknown(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.conv = conv(1, 16)
        self.operation = operation

    def forward(self, x):
        return (self.operation(self.conv(x)),)


@pytest.mark.parametrize(
    "operation",
    [
        nn.ELU(),
        nn.AvgPool3d(2),
        nn.MaxPool3d(3),
        nn.Conv3d(16, 16, 3),
        nn.Conv3d(16, 16, 3, padding=2, dilation=2),
        nn.Upsample(scale_factor=2),
        lambda x: x + 1,
        lambda x: torch.relu(x) * x,
        lambda x: x if x.sum() > 0 else -x,
        nn.GELU(),
    ],
)
def test_networks_it_does_not_know_are_declined(operation):
    with pytest.raises(UnsupportedNetworkError):
        WinogradNetwork(Unknown(operation), 1)
