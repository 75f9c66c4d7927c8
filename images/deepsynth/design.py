"""Target, loss and nuclei of DeepSynth."""

from collections.abc import Sequence

import numpy as np
import torch

from images.deepsynth.network import build
from nucseg.dense.design import Design, Thresholds
from nucseg.instances import grow, peaks
from nucseg.training.losses import bce_dice
from nucseg.training.patches import OUTSIDE

BCE_WEIGHT = 10.0

SMOOTHING = 0.08
"""Blur of the distance map before its peaks are sought, in diameters of a nucleus."""


def make_targets(labels: np.ndarray) -> tuple[np.ndarray]:
    """Mask of the nuclei: float32 (1, Z, Y, X), -1 where unknown."""
    mask = (labels > 0).astype(np.float32)
    mask[labels == OUTSIDE] = -1
    return (mask[None],)


def loss(output: tuple[torch.Tensor, ...], targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    """Ten times the cross-entropy, and the Dice loss."""
    return {"nuclei": bce_dice(output[0], targets[0], bce=BCE_WEIGHT)}


def instances(maps: Sequence[np.ndarray], thresholds: Thresholds, diameter: float) -> np.ndarray:
    """Watershed of the distance to the background, from its peaks; `seed` is their least distance in diameters."""
    from edt import edt
    from scipy.ndimage import gaussian_filter

    mask = maps[0] > thresholds["foreground"]
    depth = gaussian_filter(edt(mask), SMOOTHING * diameter)
    depth[~mask] = 0
    return grow(peaks(depth, round(thresholds["seed"] * diameter)), depth, mask)


DESIGN = Design(
    method="deepsynth",
    build=build,
    targets=make_targets,
    loss=loss,
    instances=instances,
    choices={"foreground": (0.4, 0.5, 0.6, 0.7), "seed": (0.2, 0.3, 0.4, 0.5)},
)
