"""The configuration of a StarDist 3D network, in the words of upstream's config.json.

Source: stardist 0.9, ``stardist/models/model3d.py`` (Config3D, StarDist3D._build_*).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.networks.receptive import (
    Interval,
    through_conv,
    through_convs,
    through_pooling,
    through_residual_block,
    through_unet,
)
from nucseg.volume import Shape

# Upstream evaluates the name as code, so nothing but these may come from a file.
RAYS = ("Rays_GoldenSpiral", "Rays_Cartesian", "Rays_Tetra", "Rays_Octo", "Rays_Explicit")


@dataclass(frozen=True)
class StarDistConfig:
    """What the network looks like. Fields and defaults are those of upstream's Config3D.

    Attributes
    ----------
    backbone : str
        "unet" or "resnet". Fields of the other one have no effect.
    n_rays : int
        Number of rays. Taken from `rays_json` where that is given.
    rays_json : dict
        Name and arguments of a class of ``stardist.rays3d``. Empty: a golden spiral of `n_rays`
        rays squeezed by `anisotropy`.
    grid : tuple of int
        The network predicts at every grid-th voxel, ZYX; powers of 2.
    anisotropy : tuple of float or None
        Ratio of the largest extent of a nucleus to its extent along each axis, ZYX, in voxels.
    n_channel_in : int
        Channels of the input.
    n_classes : int or None
        Classes of nuclei without the background, None for a network without a class head.
    net_conv_after : int
        Channels of the convolution before the heads, 0 for none (``net_conv_after_unet`` or
        ``net_conv_after_resnet`` in config.json).
    """

    backbone: str = "unet"
    n_rays: int = 96
    rays_json: dict[str, Any] = field(default_factory=dict)
    grid: Shape = (1, 1, 1)
    anisotropy: tuple[float, float, float] | None = None
    n_channel_in: int = 1
    n_classes: int | None = None
    net_conv_after: int = 128
    unet_n_depth: int = 2
    unet_kernel_size: Shape = (3, 3, 3)
    unet_n_filter_base: int = 32
    unet_n_conv_per_depth: int = 2
    unet_pool: Shape = (2, 2, 2)
    unet_activation: str = "relu"
    unet_last_activation: str = "relu"
    unet_batch_norm: bool = False
    unet_dropout: float = 0.0
    unet_expansion: float = 2.0
    unet_prefix: str = ""
    resnet_n_blocks: int = 4
    resnet_kernel_size: Shape = (3, 3, 3)
    resnet_kernel_init: str = "he_normal"
    resnet_n_filter_base: int = 32
    resnet_n_conv_per_block: int = 3
    resnet_activation: str = "relu"
    resnet_batch_norm: bool = False

    def __post_init__(self) -> None:
        """Complete `rays_json` as upstream does, and check what the network relies on."""
        if self.backbone not in ("unet", "resnet"):
            raise _unsupported(f"backbone '{self.backbone}'")
        if len(self.grid) != 3 or any(g < 1 or g & (g - 1) for g in self.grid):
            raise _unsupported(f"grid {self.grid} (not powers of 2)")
        if self.backbone == "resnet" and 2**self.resnet_n_blocks < max(self.grid):
            raise _unsupported(f"grid {self.grid} with only {self.resnet_n_blocks} blocks")
        rays: dict[str, Any] = {"name": "Rays_GoldenSpiral", "kwargs": {"n": self.n_rays}}
        rays.update(self.rays_json)
        if rays.get("name") not in RAYS or not isinstance(rays.get("kwargs"), dict):
            raise _unsupported(f"rays '{rays.get('name')}'")
        if rays["name"] == "Rays_GoldenSpiral" and rays["kwargs"].get("anisotropy") is None:
            anisotropy = None if self.anisotropy is None else list(self.anisotropy)
            rays["kwargs"] = {**rays["kwargs"], "anisotropy": anisotropy}
        if rays["name"] == "Rays_GoldenSpiral" and self.rays_json:
            object.__setattr__(self, "n_rays", int(rays["kwargs"].get("n", 70)))
        object.__setattr__(self, "rays_json", rays)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "StarDistConfig":
        """Read upstream's config.json, of any version: missing keys take upstream's defaults.

        Keys that do not concern the network (``train_*``, ``use_gpu``, ...) are left aside.

        Raises
        ------
        NucsegError
            The configuration is not of a StarDist 3D model, or of one that is not supported.
        """
        axes = str(config.get("axes", "ZYXC")).upper()
        if axes.replace("C", "") != "ZYX":
            raise _unsupported(f"axes '{axes}' (ZYX is needed)")
        known = {f.name for f in fields(cls)}
        try:
            values = {key: _normal(key, value) for key, value in config.items() if key in known}
            backbone = str(config.get("backbone", "unet")).lower()
            values["backbone"] = backbone
            values["net_conv_after"] = int(config.get(f"net_conv_after_{backbone}", cls.net_conv_after))
            result = cls(**values)
        except (TypeError, ValueError) as error:
            raise _unsupported(f"configuration that cannot be read ({error})") from error
        rays = len(result.rays())
        return result if rays == result.n_rays else replace(result, n_rays=rays)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as upstream's config.json (the keys of the network only), ready for JSON."""
        other = "resnet_" if self.backbone == "unet" else "unet_"
        result: dict[str, Any] = {"n_dim": 3, "axes": "ZYXC", "n_channel_out": 1 + self.n_rays}
        for f in fields(self):
            if not f.name.startswith(other) and f.name != "net_conv_after":
                value = getattr(self, f.name)
                result[f.name] = list(value) if isinstance(value, tuple) else value
        result[f"net_conv_after_{self.backbone}"] = self.net_conv_after
        return result

    def rays(self) -> Any:
        """The rays: an object of ``stardist.rays3d`` with `vertices` (n_rays, 3) ZYX and `faces`."""
        from stardist.rays3d import rays_from_json

        return rays_from_json(self.rays_json)

    @property
    def pools(self) -> list[Shape]:
        """The strides that bring the input to the grid, in order, ZYX (as many as the grid needs)."""
        result: list[Shape] = []
        pooled = (1, 1, 1)
        while pooled != self.grid:
            z, y, x = (2 if g > p else 1 for g, p in zip(self.grid, pooled, strict=True))
            result.append((z, y, x))
            pooled = (pooled[0] * z, pooled[1] * y, pooled[2] * x)
        return result

    @property
    def divisor(self) -> Shape:
        """The input's shape must be a multiple of this, and a tile must begin at one, ZYX in voxels."""
        if self.backbone == "resnet":
            return self.grid
        z, y, x = (g * p**self.unet_n_depth for g, p in zip(self.grid, self.unet_pool, strict=True))
        return z, y, x

    @property
    def receptive_field(self) -> Shape:
        """How far from its place an output looks, at most, in input voxels, ZYX.

        Worked out from the layers. Upstream measures it with an impulse in an image of 64 * grid
        voxels, so that it sees no more than 32 * grid.
        """
        z, y, x = (self._reach(axis) for axis in range(3))
        return z, y, x

    def _reach(self, axis: int) -> int:
        grid, far = self.grid[axis], 0
        for output in range(max(1, self.divisor[axis] // grid)):
            first, last = self._needed(axis, (output, output))
            far = max(far, output * grid - first, last - output * grid)
        return far

    def _needed(self, axis: int, needed: Interval) -> Interval:
        pools = [pool[axis] for pool in self.pools]
        if self.backbone == "unet":
            kernel, convs = self.unet_kernel_size[axis], self.unet_n_conv_per_depth
            if self.net_conv_after:
                needed = through_conv(needed, kernel)
            needed = through_unet(needed, kernel, self.unet_n_depth, convs, self.unet_pool[axis])
            for pool in reversed(pools):
                needed = through_convs(through_pooling(needed, pool), kernel, convs)
            return needed
        kernel, convs = self.resnet_kernel_size[axis], self.resnet_n_conv_per_block
        if self.net_conv_after:
            needed = through_conv(needed, kernel)
        for pool in reversed(pools + [1] * (self.resnet_n_blocks - len(pools))):
            needed = through_residual_block(needed, kernel, convs, pool)
        return through_conv(through_conv(needed, 3), 7)


def _normal(key: str, value: Any) -> Any:
    if key == "n_classes":
        return None if value is None else int(value)
    if key == "anisotropy":
        return None if value is None else tuple(float(v) for v in value)
    if key == "grid" and isinstance(value, int):
        return (value,) * 3
    if isinstance(value, list | tuple):
        return tuple(int(v) for v in value)
    default = getattr(StarDistConfig, key, None)
    return int(value) if type(default) is int else value


def _unsupported(what: str) -> NucsegError:
    return NucsegError(
        f"the model has a {what}, which StarDist 3D here does not support",
        "use a 3D model that stardist 0.9 can load",
        USAGE,
    )
