"""The two networks of QCANet in torch: one finds nuclei (NSN), one finds their centres (NDN).

Source: Tokuoka et al., "3D convolutional neural networks-based segmentation to acquire quantitative
criteria of the nucleus during mouse embryogenesis", npj Systems Biology and Applications 6:32 (2020);
sizes and order of the layers from funalab/QCANet, ``src/lib/model.py``.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from nucseg.errors import USAGE, NucsegError

BN_MODES = ("running", "patch")


class QCANet(nn.Module):
    """Nuclei and centres of nuclei, from one channel of intensities in [0, 1].

    Parameters
    ----------
    nsn_base, nsn_kernel, nsn_levels : int
        Channels of the first convolution, kernel and number of poolings of the nuclei's network.
    ndn_base, ndn_kernel, ndn_levels : int
        The same for the centres' network.
    bn_mode : str
        What a batch normalisation takes in evaluation mode: "running", the averages of the training, or
        "patch", the statistics of the patch itself. Upstream infers with the latter, so that its
        published weights want it; a result then depends on how the volume is tiled.

    Attributes
    ----------
    divisor : tuple of int
        Every axis of the input must be a multiple of this, ZYX.
    halo : tuple of int
        Context on each side of a tile's core, ZYX: upstream reads 96 voxels and keeps the inner 48. It is
        less than the receptive field.
    patch : tuple of int or None
        The shape of every tile with bn_mode "patch": 96 voxels, as upstream.
    """

    def __init__(
        self,
        nsn_base: int = 16,
        nsn_kernel: int = 3,
        nsn_levels: int = 2,
        ndn_base: int = 12,
        ndn_kernel: int = 5,
        ndn_levels: int = 4,
        bn_mode: str = "running",
    ) -> None:
        super().__init__()
        if bn_mode not in BN_MODES:
            raise NucsegError(f"the model has bn_mode {bn_mode!r}", f"use a model with {' or '.join(BN_MODES)}", USAGE)
        norm = PatchNorm3d if bn_mode == "patch" else nn.BatchNorm3d
        self.nsn = Net(nsn_base, nsn_kernel, nsn_levels, norm)
        self.ndn = Net(ndn_base, ndn_kernel, ndn_levels, norm)
        multiple = 2 ** max(nsn_levels, ndn_levels)
        self.divisor = (multiple, multiple, multiple)
        self.halo = (24, 24, 24)
        self.patch = (96, 96, 96) if bn_mode == "patch" else None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (N, 1, Z, Y, X) to the logits of nuclei and of centres, each of the same shape."""
        return self.nsn(x), self.ndn(x)


class PatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation that takes each patch's own statistics in evaluation mode too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, Z, Y, X) to the same shape."""
        if self.training:
            return super().forward(x)
        # Not functional.instance_norm: it refuses the single voxel that four poolings leave of 16.
        return torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, self.eps, False)


class Net(nn.Module):
    """A 3D U-Net whose stages double their channels in the second of their two convolutions.

    Parameters
    ----------
    base : int
        Channels of the first convolution.
    kernel : int
        Size of all convolutions but the last, odd.
    levels : int
        Number of poolings.
    norm : type
        The normalisation behind each convolution but the last.
    """

    def __init__(self, base: int, kernel: int, levels: int, norm: type[nn.BatchNorm3d] = nn.BatchNorm3d) -> None:
        super().__init__()
        widths = [base * 2 ** (level + 1) for level in range(levels + 1)]
        self.pool = nn.MaxPool3d(2)
        self.down = nn.ModuleList(
            nn.Sequential(_conv(entry, width // 2, kernel, norm), _conv(width // 2, width, kernel, norm))
            for entry, width in zip([1, *widths], widths, strict=False)
        )
        self.up, self.merge = nn.ModuleList(), nn.ModuleList()
        for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.up.append(nn.ConvTranspose3d(below, below, 2, 2))
            self.merge.append(
                nn.Sequential(_conv(below + width, width, kernel, norm), _conv(width, width, kernel, norm))
            )
        self.head = nn.Conv3d(widths[0], 2, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.kaiming_normal_(part.weight)
                nn.init.zeros_(part.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, 1, Z, Y, X) to the logit of the foreground: that of class 1 minus that of class 0."""
        skips = []
        for stage in self.down[:-1]:
            skips.append(stage(x))
            x = self.pool(skips[-1])
        # In bfloat16, oneDNN's gradient of a 5x5x5 convolution over so few voxels is not always finite (torch 2.13).
        if self.training:
            with torch.autocast(x.device.type, enabled=False):
                x = self.down[-1](x.float())
        else:
            x = self.down[-1](x)
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
        scores = self.head(x)
        return scores[:, 1:] - scores[:, :1]


def config_of_state(state: Mapping[str, Any]) -> dict[str, int]:
    """Sizes of a `QCANet` from its state dict: its arguments but `bn_mode`, which the weights don't tell.

    Parameters
    ----------
    state : mapping of str to array
        Torch tensors or numpy arrays, under the names of `QCANet`.
    """
    config = {}
    for net in ("nsn", "ndn"):
        first = state[f"{net}.down.0.0.conv.weight"].shape
        config[f"{net}_base"], config[f"{net}_kernel"] = int(first[0]), int(first[-1])
        config[f"{net}_levels"] = sum(key.startswith(f"{net}.up.") and key.endswith(".weight") for key in state)
    return config


def _conv(channels_in: int, channels_out: int, kernel: int, norm: type[nn.BatchNorm3d]) -> nn.Sequential:
    """Convolution, normalisation with chainer's epsilon, ReLU."""
    block = nn.Sequential()
    block.add_module("conv", nn.Conv3d(channels_in, channels_out, kernel, padding=kernel // 2))
    block.add_module("norm", norm(channels_out, eps=2e-5))
    block.add_module("act", nn.ReLU(inplace=True))
    return block
