"""The 3D U-Net of pytorch-3dunet: two convolutions per level, max pooling, nearest upsampling, concatenation.

Source: pytorch3dunet 1.9.6, ``pytorch3dunet/unet3d`` (UNet3D, DoubleConv, create_conv); Çiçek et al.,
"3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation", MICCAI 2016. The names of
the modules are upstream's, so that its checkpoints load as they are.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from nucseg.errors import USAGE, NucsegError
from nucseg.volume import Shape

NUM_GROUPS = 8


class UNet3D(nn.Module):
    """Logits of the nuclei and of their boundaries, at full resolution.

    Upstream gives, in eval mode, the sigmoid of these logits as the channels of one tensor.

    Parameters
    ----------
    in_channels : int
        Channels of the image.
    out_channels : int
        2 for nuclei and boundaries, the published nuclei models; 1 for nuclei only.
    f_maps : int
        Channels of the first level; each further level has twice as many.
    num_levels : int
        Levels, at least 2; the image is halved between two of them.
    layer_order : str
        What one convolution consists of, in order: g GroupNorm, b BatchNorm, c convolution, r ReLU,
        l LeakyReLU, e ELU.
    num_groups : int
        Groups of a GroupNorm; one group where there are fewer channels than this.

    Attributes
    ----------
    divisor : tuple of int
        Every axis of the input must be a multiple of this, ZYX.
    halo : tuple of int
        Voxels around a tile's core that it needs, ZYX.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        f_maps: int = 32,
        num_levels: int = 4,
        layer_order: str = "gcr",
        num_groups: int = NUM_GROUPS,
    ) -> None:
        super().__init__()
        if num_levels < 2:
            raise _unsupported(f"{num_levels} level(s)")
        self.divisor: Shape = (2 ** (num_levels - 1),) * 3
        self.halo: Shape = (32, 32, 32)
        widths = [f_maps * 2**level for level in range(num_levels)]
        self.encoders = nn.ModuleList()
        channels = in_channels
        for level, width in enumerate(widths):
            # The first of the two convolutions goes half of the way to the new width.
            middle = max(width // 2, channels)
            block = _DoubleConv(channels, middle, width, layer_order, num_groups)
            self.encoders.append(_Encoder(block, pool=level > 0))
            channels = width
        self.decoders = nn.ModuleList(
            _Decoder(_DoubleConv(below + width, width, width, layer_order, num_groups))
            for below, width in pairwise(reversed(widths))
        )
        self.final_conv = nn.Conv3d(f_maps, out_channels, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Predict from normalised intensities.

        Parameters
        ----------
        x : torch.Tensor
            (N, in_channels, Z, Y, X), each axis a multiple of `divisor`.

        Returns
        -------
        tuple of torch.Tensor
            One of logits (N, 1, Z, Y, X) per output channel: nuclei, boundaries.
        """
        features = []
        for encoder in self.encoders:
            x = encoder(x)
            features.append(x)
        for decoder, skip in zip(self.decoders, reversed(features[:-1]), strict=True):
            x = decoder(x, skip)
        return self.final_conv(x).split(1, dim=1)


class _SingleConv(nn.Sequential):
    """One convolution with what `order` puts before and after it."""

    def __init__(self, channels_in: int, channels_out: int, order: str, num_groups: int) -> None:
        super().__init__()
        if order.count("c") != 1 or len(set(order)) < len(order) or order[0] in "rle":
            raise _unsupported(f"layer order '{order}'")
        bias = not set("gb") & set(order)
        channels = channels_in
        for letter in order:
            if letter == "c":
                self.add_module("conv", nn.Conv3d(channels_in, channels_out, 3, padding=1, bias=bias))
                channels = channels_out
            elif letter == "g":
                groups = num_groups if channels >= num_groups else 1
                if channels % groups:
                    raise _unsupported(f"GroupNorm of {groups} groups on {channels} channels")
                self.add_module("groupnorm", nn.GroupNorm(groups, channels))
            elif letter == "b":
                self.add_module("batchnorm", nn.BatchNorm3d(channels))
            elif letter == "r":
                self.add_module("ReLU", nn.ReLU(inplace=True))
            elif letter == "l":
                self.add_module("LeakyReLU", nn.LeakyReLU(inplace=True))
            elif letter == "e":
                self.add_module("ELU", nn.ELU(inplace=True))
            else:
                raise _unsupported(f"layer order '{order}'")


class _DoubleConv(nn.Sequential):
    def __init__(self, channels_in: int, middle: int, channels_out: int, order: str, num_groups: int) -> None:
        super().__init__()
        self.SingleConv1 = _SingleConv(channels_in, middle, order, num_groups)
        self.SingleConv2 = _SingleConv(middle, channels_out, order, num_groups)


class _Encoder(nn.Module):
    def __init__(self, block: nn.Module, pool: bool) -> None:
        super().__init__()
        self.pooling = nn.MaxPool3d(2) if pool else nn.Identity()
        self.basic_module = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.basic_module(self.pooling(x))


class _Decoder(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.basic_module = block

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        upsampled = functional.interpolate(x, size=skip.shape[2:], mode="nearest")
        return self.basic_module(torch.cat((skip, upsampled), dim=1))


def config_of_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `UNet3D` for a state dict of upstream's, from its names and shapes.

    What leaves no trace there is taken as in the published models: ReLU, and at most 8 groups.

    Parameters
    ----------
    state : mapping of str to array
        Torch tensors or numpy arrays.

    Raises
    ------
    NucsegError
        `USAGE`: another network of the package, or one with other shapes than `UNet3D` makes.
    """
    if any(".basic_module.conv1." in name or ".basic_module.conv2." in name for name in state):
        raise _unsupported("residual network (ResidualUNet3D or ResidualUNetSE3D)")
    convolution = state.get("encoders.0.basic_module.SingleConv1.conv.weight")
    final = state.get("final_conv.weight")
    if convolution is None or final is None:
        raise _unsupported("network that is no UNet3D of pytorch-3dunet")
    if len(final.shape) != 5:
        raise _unsupported("2D network")
    levels = {int(found[1]) for found in (re.match(r"encoders\.(\d+)\.", name) for name in state) if found}
    config: dict[str, Any] = {
        "in_channels": int(convolution.shape[1]),
        "out_channels": int(final.shape[0]),
        "f_maps": int(final.shape[1]),
        "num_levels": len(levels),
        "layer_order": _layer_order(state),
        "num_groups": NUM_GROUPS,
    }
    with torch.device("meta"):
        expected = UNet3D(**config).state_dict()
    for name in sorted(expected.keys() | state.keys()):
        made, found = expected.get(name), state.get(name)
        if made is None or found is None or tuple(made.shape) != tuple(found.shape):
            raise _unsupported(f"weight '{name}' that does not fit a UNet3D of {config['f_maps']} feature maps")
    return config


def _layer_order(state: Mapping[str, Any]) -> str:
    """Letters of one convolution's layers, by the number of channels that its normalisation has."""
    # This convolution has three times as many channels before it as after it.
    prefix = "decoders.0.basic_module.SingleConv1."
    convolution = state.get(f"{prefix}conv.weight")
    for letter, layer in (("g", "groupnorm"), ("b", "batchnorm")):
        normalisation = state.get(f"{prefix}{layer}.weight")
        if convolution is not None and normalisation is not None:
            if normalisation.shape[0] == convolution.shape[1]:
                return f"{letter}cr"
            # crg or cgr: the weights do not tell.
            raise _unsupported("normalisation after the convolution (the place of its ReLU is not known)")
    return "cr"


def _unsupported(what: str) -> NucsegError:
    return NucsegError(
        f"the model has a {what}, which 3D U-Net here does not support",
        "use a UNet3D of pytorch-3dunet, with the layer order gcr",
        USAGE,
    )
