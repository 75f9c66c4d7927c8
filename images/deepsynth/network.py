"""The network of DeepSynth, from its published description (Dunn et al. 2019, Scientific Reports 9:18295)."""

from typing import Any

import torch
from torch import nn

from nucseg.volume import Shape

SLOPE = 0.2
"""Of the leaky ReLU for negative values."""


class DeepSynth(nn.Module):
    """Encoder and decoder of three levels with skips; 402,553 parameters with 8 filters.

    Parameters
    ----------
    filters : int
        Channels of the first level; each further level, and the bridge below them, has twice as many.
    levels : int
        Halvings of the image.

    Attributes
    ----------
    divisor, halo : tuple of int
        See `nucseg.dense.design.DenseModule`.
    """

    def __init__(self, filters: int = 8, levels: int = 3) -> None:
        super().__init__()
        self.divisor: Shape = (2**levels,) * 3
        self.halo: Shape = (32, 32, 32)
        widths = [filters * 2**level for level in range(levels)]
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.pool = nn.MaxPool3d(2)
        self.bridge = _block(widths[-1], 2 * widths[-1])
        self.up = nn.ModuleList(_upsample(2 * width, width) for width in reversed(widths))
        self.merge = nn.ModuleList(_block(2 * width, width) for width in reversed(widths))
        self.out = nn.Conv3d(filters, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map (N, 1, Z, Y, X), each axis a multiple of `divisor`, to the logits of nuclei, of the same shape."""
        skips = []
        for block in self.down:
            skips.append(block(x))
            x = self.pool(skips[-1])
        x = self.bridge(x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], 1))
        return (self.out(x),)


def build(config: Any) -> DeepSynth:
    """The network of a configuration."""
    return DeepSynth(**config)


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two convolutions; there is no activation after the second normalisation."""
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, padding=1),
        nn.BatchNorm3d(channels_out),
        nn.LeakyReLU(SLOPE),
        nn.Conv3d(channels_out, channels_out, 3, padding=1),
        nn.BatchNorm3d(channels_out),
    )


def _upsample(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose3d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm3d(channels_out),
        nn.LeakyReLU(SLOPE),
    )
