"""Convolution blocks with the padding and the defaults of Keras, as csbdeep builds them.

Source: csbdeep 0.8, ``csbdeep/internals/blocks.py`` (conv_block3, resnet_block).
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from nucseg.errors import USAGE, NucsegError
from nucseg.volume import Shape

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "swish": nn.SiLU,
}


def activation(name: str) -> nn.Module:
    """The module of a Keras activation name.

    Raises
    ------
    NucsegError
        The name is not one of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise NucsegError(
            f"the model uses the activation '{name}', which is not supported",
            f"use a model with one of: {', '.join(ACTIVATIONS)}",
            USAGE,
        )
    return ACTIVATIONS[name]()


def batch_norm(channels: int) -> nn.BatchNorm3d:
    """Batch normalisation with the constants of Keras (epsilon 1e-3, momentum 0.99)."""
    return nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01)


class SameConv3d(nn.Conv3d):
    """Convolution with TensorFlow's 'same' padding, for inputs whose shape is a multiple of the stride.

    With a stride TensorFlow pads one side more than the other (kernel 3, stride 2: none before, one
    after), which the padding argument of torch cannot say.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: Shape, stride: Shape = (1, 1, 1), bias: bool = True
    ) -> None:
        total = [max(k - s, 0) for k, s in zip(kernel, stride, strict=True)]
        even = all(t % 2 == 0 for t in total)
        z, y, x = (t // 2 for t in total)
        super().__init__(channels_in, channels_out, kernel, stride, padding=(z, y, x) if even else 0, bias=bias)
        # functional.pad counts from the last axis
        self.pad_before = [] if even else [side for t in reversed(total) for side in (t // 2, t - t // 2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, Z, Y, X) to (N, channels_out, Z/stride, Y/stride, X/stride)."""
        return super().forward(functional.pad(x, self.pad_before) if self.pad_before else x)


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation if asked for, activation, dropout if asked for.

    The convolution keeps its bias beside a normalisation, as in csbdeep.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: Shape,
        act: str = "relu",
        norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.add_module("conv", SameConv3d(channels_in, channels_out, kernel))
        if norm:
            self.add_module("norm", batch_norm(channels_out))
        self.add_module("act", activation(act))
        if dropout > 0:
            self.add_module("dropout", nn.Dropout(dropout))


class ResidualBlock(nn.Module):
    """`n_convs` convolutions, the first with the stride, plus the input; the activation comes after the sum.

    The input goes through a strided 1x1x1 convolution where its shape or channels differ from the
    output's. Beside a normalisation no convolution has a bias, this one included.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: Shape,
        stride: Shape = (1, 1, 1),
        n_convs: int = 3,
        act: str = "relu",
        norm: bool = False,
    ) -> None:
        super().__init__()
        channels = [channels_in] + [channels_out] * n_convs
        strides: list[Shape] = [stride] + [(1, 1, 1)] * (n_convs - 1)
        self.convs = nn.ModuleList(
            SameConv3d(channels[i], channels[i + 1], kernel, strides[i], bias=not norm) for i in range(n_convs)
        )
        self.norms = nn.ModuleList(batch_norm(channels_out) if norm else nn.Identity() for _ in range(n_convs))
        same = channels_in == channels_out and stride == (1, 1, 1)
        self.projection = (
            nn.Identity() if same else SameConv3d(channels_in, channels_out, (1, 1, 1), stride, bias=not norm)
        )
        self.act = activation(act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, Z, Y, X) to (N, channels_out, Z/stride, Y/stride, X/stride)."""
        inner = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            inner = norm(conv(inner if i == 0 else self.act(inner)))
        return self.act(self.projection(x) + inner)


def initialise_like_keras(module: nn.Module, kind: str) -> None:
    """Give every convolution of `module` Keras' initial weights.

    Parameters
    ----------
    kind : str
        "glorot_uniform" or "he_normal" (truncated at two deviations). Biases become zero.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            if kind == "he_normal":
                fan_in = part.weight[0].numel()
                # 0.8796 is the deviation that is left of a unit normal after truncation at two
                deviation = (2.0 / fan_in) ** 0.5 / 0.87962566103423978
                nn.init.trunc_normal_(part.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            else:
                nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
