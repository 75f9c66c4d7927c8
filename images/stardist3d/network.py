"""The StarDist 3D network in torch, built from upstream's configuration.

Source: stardist 0.9, ``stardist/models/model3d.py`` (_build_unet, _build_resnet); Weigert et al.,
"Star-convex Polyhedra for 3D Object Detection and Segmentation in Microscopy", WACV 2020.
"""

import torch
from torch import nn

from images.stardist3d.config import StarDistConfig
from nucseg.networks.blocks import ConvBlock, ResidualBlock, SameConv3d, initialise_like_keras
from nucseg.networks.unet import UNet
from nucseg.volume import Shape


class StarDist3D(nn.Module):
    """Probability and distances along the rays, at every grid-th voxel.

    Parameters
    ----------
    config : StarDistConfig
        Backbone, sizes and heads.
    """

    def __init__(self, config: StarDistConfig) -> None:
        super().__init__()
        self.config = config
        unet = config.backbone == "unet"
        self.backbone: nn.Module = _UNetBackbone(config) if unet else _ResNetBackbone(config)
        kernel = config.unet_kernel_size if unet else config.resnet_kernel_size
        act = config.unet_activation if unet else config.resnet_activation
        channels = self.backbone.channels_out

        def features() -> nn.Module:
            return ConvBlock(channels, config.net_conv_after, kernel, act) if config.net_conv_after else nn.Identity()

        width = config.net_conv_after or channels
        self.features = features()
        self.prob = nn.Conv3d(width, 1, 1)
        self.dist = nn.Conv3d(width, config.n_rays, 1)
        self.features_class: nn.Module | None = None
        self.prob_class: nn.Module | None = None
        if config.n_classes is not None:
            self.features_class = features()
            self.prob_class = nn.Conv3d(width, config.n_classes + 1, 1)
        initialise_like_keras(self, "glorot_uniform")
        if not unet:
            initialise_like_keras(self.backbone, config.resnet_kernel_init)

    @property
    def divisor(self) -> Shape:
        """Every axis of the input must be a multiple of this, ZYX."""
        return self.config.divisor

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Predict from normalised intensities.

        Parameters
        ----------
        x : torch.Tensor
            (N, n_channel_in, Z, Y, X), each axis a multiple of `divisor`.

        Returns
        -------
        tuple of torch.Tensor
            Logits of the probability (N, 1, z, y, x); distances in input voxels (N, n_rays, z, y, x),
            not clipped; with classes also their logits (N, n_classes + 1, z, y, x), background first.
        """
        base = self.backbone(x)
        features = self.features(base)
        outputs = (self.prob(features), self.dist(features))
        if self.prob_class is None or self.features_class is None:
            return outputs
        return (*outputs, self.prob_class(self.features_class(base)))


class _UNetBackbone(nn.Module):
    """Convolutions and poolings down to the grid, then the U-Net."""

    def __init__(self, config: StarDistConfig) -> None:
        super().__init__()
        self.entry = nn.ModuleList()
        channels, kernel = config.n_channel_in, config.unet_kernel_size
        for pool in config.pools:
            stage = nn.Sequential()
            for _ in range(config.unet_n_conv_per_depth):
                stage.append(ConvBlock(channels, config.unet_n_filter_base, kernel, config.unet_activation))
                channels = config.unet_n_filter_base
            stage.append(nn.MaxPool3d(pool))
            self.entry.append(stage)
        self.unet = UNet(
            channels,
            depth=config.unet_n_depth,
            base=config.unet_n_filter_base,
            kernel=kernel,
            pool=config.unet_pool,
            convs=config.unet_n_conv_per_depth,
            act=config.unet_activation,
            last_act=config.unet_last_activation or config.unet_activation,
            norm=config.unet_batch_norm,
            dropout=config.unet_dropout or 0.0,
            expansion=config.unet_expansion,
        )
        self.channels_out = self.unet.channels_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.entry:
            x = stage(x)
        return self.unet(x)


class _ResNetBackbone(nn.Module):
    """Two convolutions without activation, then residual blocks, of which the first stride to the grid."""

    def __init__(self, config: StarDistConfig) -> None:
        super().__init__()
        channels = config.resnet_n_filter_base
        self.entry = nn.Sequential(
            SameConv3d(config.n_channel_in, channels, (7, 7, 7)), SameConv3d(channels, channels, (3, 3, 3))
        )
        self.blocks = nn.ModuleList()
        pools = config.pools + [(1, 1, 1)] * (config.resnet_n_blocks - len(config.pools))
        for pool in pools:
            wider = channels * 2 if max(pool) > 1 else channels
            self.blocks.append(
                ResidualBlock(
                    channels,
                    wider,
                    config.resnet_kernel_size,
                    pool,
                    config.resnet_n_conv_per_block,
                    config.resnet_activation,
                    config.resnet_batch_norm,
                )
            )
            channels = wider
        self.channels_out = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        for block in self.blocks:
            x = block(x)
        return x


__all__ = ["StarDist3D", "StarDistConfig"]
