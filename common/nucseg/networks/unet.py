"""The U-Net of csbdeep.

Source: csbdeep 0.8, ``csbdeep/internals/blocks.py`` (unet_block).
"""

import torch
from torch import nn
from torch.nn import functional

from nucseg.networks.blocks import ConvBlock
from nucseg.volume import Shape


class UNet(nn.Module):
    """Encoder and decoder with skips; nearest-neighbour upsampling, [upsampled, skip] concatenated.

    Parameters
    ----------
    channels_in : int
        Channels of the input.
    depth : int
        Number of poolings.
    base : int
        Channels of the first level; level n has ``int(base * expansion**n)``.
    kernel, pool : tuple of int
        Size of the convolutions, and of the poolings, ZYX.
    convs : int
        Convolutions per level and direction.
    act, last_act : str
        Keras names of the activations; `last_act` is that of the last convolution.
    norm : bool
        Batch normalisation after each convolution.
    dropout : float
        Fraction dropped after each convolution in training.
    expansion : float
        Growth of the channels per level.
    """

    def __init__(
        self,
        channels_in: int,
        *,
        depth: int = 2,
        base: int = 32,
        kernel: Shape = (3, 3, 3),
        pool: Shape = (2, 2, 2),
        convs: int = 2,
        act: str = "relu",
        last_act: str = "relu",
        norm: bool = False,
        dropout: float = 0.0,
        expansion: float = 2,
    ) -> None:
        super().__init__()
        self.pool = pool

        def level(n: int) -> int:
            return int(base * expansion ** max(n, 0))

        def stage(widths: list[int], end: str = act) -> nn.Sequential:
            acts = [act] * (len(widths) - 2) + [end]
            return nn.Sequential(
                *(ConvBlock(a, b, kernel, f, norm, dropout) for a, b, f in zip(widths, widths[1:], acts, strict=False))
            )

        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        channels = channels_in
        for n in range(depth):
            self.down.append(stage([channels] + [level(n)] * convs))
            channels = level(n)
        self.middle = stage([channels] + [level(depth)] * (convs - 1) + [level(depth - 1)])
        channels = level(depth - 1)
        for n in reversed(range(depth)):
            widths = [channels + level(n)] + [level(n)] * (convs - 1) + [level(n - 1)]
            self.up.append(stage(widths, act if n > 0 else last_act))
            channels = level(n - 1)
        self.channels_out = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, Z, Y, X), each axis a multiple of pool**depth, to (N, channels_out, Z, Y, X)."""
        skips = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
            x = functional.max_pool3d(x, self.pool)
        x = self.middle(x)
        for stage in self.up:
            size = skips[-1].shape[2:]
            x = stage(torch.cat([functional.interpolate(x, size=size), skips.pop()], 1))
        return x
