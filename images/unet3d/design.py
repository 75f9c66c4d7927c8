"""Targets, loss and nuclei of the 3D U-Net with boundaries (Wolny et al. 2020)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from images.unet3d.converter import is_published, load_published
from images.unet3d.network import UNet3D
from nucseg.dense.design import Design, Published, Thresholds
from nucseg.instances import components, grow
from nucseg.training.losses import bce_dice
from nucseg.training.patches import OUTSIDE


def make_targets(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mask of the nuclei, and the voxels on both sides of each nucleus' border: float32 (1, Z, Y, X), -1 unknown."""
    from skimage.segmentation import find_boundaries

    inside = np.maximum(labels, 0)
    nuclei, boundary = (inside > 0).astype(np.float32), find_boundaries(inside, mode="thick").astype(np.float32)
    nuclei[labels == OUTSIDE] = boundary[labels == OUTSIDE] = -1
    return nuclei[None], boundary[None]


def loss(output: tuple[torch.Tensor, ...], targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    """Cross-entropy and Dice of each map, with equal weights, as upstream's BCEDiceLoss."""
    # Upstream's networks of one output know no boundary.
    return {
        name: bce_dice(logits, target)
        for name, logits, target in zip(("nuclei", "boundary"), output, targets, strict=False)
    }


def instances(maps: Sequence[np.ndarray], thresholds: Thresholds, diameter: float) -> np.ndarray:
    """Seeds are the parts where a nucleus without its boundary is sure; they grow over the nuclei's mask."""
    nuclei, *boundary = maps
    core = nuclei * (1 - boundary[0]) if boundary else nuclei
    return grow(components(core > thresholds["seed"]), core, nuclei > thresholds["foreground"])


def published(path: Path) -> Published | None:
    """A checkpoint that pytorch-3dunet wrote."""
    return load_published(path) if is_published(path) else None


def build(config: Any) -> UNet3D:
    """The network."""
    return UNet3D(**config)


DESIGN = Design(
    method="unet3d",
    build=build,
    targets=make_targets,
    loss=loss,
    instances=instances,
    choices={"foreground": (0.35, 0.45, 0.55), "seed": (0.3, 0.4, 0.5, 0.6, 0.7)},
    published=published,
)
