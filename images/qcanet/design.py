"""Targets, loss and nuclei of QCANet: one network finds nuclei, the other their centres."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from images.qcanet.converter import is_published, load_published
from images.qcanet.network import QCANet
from nucseg.dense.design import Design, Published, Thresholds
from nucseg.instances import components, grow
from nucseg.training.losses import bce_dice
from nucseg.training.patches import OUTSIDE

CORE = 0.55
"""A nucleus' centre is where the distance to its border is above this part of the largest."""


def make_targets(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the nuclei and of their centres: float32 (1, Z, Y, X), -1 where unknown."""
    from edt import edt

    inside = np.maximum(labels, 0)
    depth = edt(inside.astype(np.uint32), black_border=False)
    deepest = np.zeros(inside.max() + 1, np.float32)
    np.maximum.at(deepest, inside.ravel(), depth.ravel())
    centres = (inside > 0) & (depth > CORE * deepest[inside])
    targets = (inside > 0).astype(np.float32), centres.astype(np.float32)
    for target in targets:
        target[labels == OUTSIDE] = -1
    return targets[0][None], targets[1][None]


def loss(output: tuple[torch.Tensor, ...], targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    """Of each network: cross-entropy (of the softmax, here of the logits' difference) and soft Dice, in sum."""
    return {
        name: bce_dice(logits, target) for name, logits, target in zip(("nsn", "ndn"), output, targets, strict=True)
    }


def instances(maps: Sequence[np.ndarray], thresholds: Thresholds, diameter: float) -> np.ndarray:
    """Watershed of the distance to the background, from the connected centres."""
    from edt import edt

    nuclei, centres = maps
    mask = nuclei > thresholds["foreground"]
    return grow(components(centres > thresholds["seed"]), edt(mask), mask)


def published(path: Path) -> Published | None:
    """Weights that upstream's chainer wrote."""
    return load_published(path) if is_published(path) else None


def build(config: Any) -> QCANet:
    """The network of a configuration."""
    return QCANet(**config)


DESIGN = Design(
    method="qcanet",
    build=build,
    targets=make_targets,
    loss=loss,
    instances=instances,
    choices={"foreground": (0.4, 0.5, 0.6), "seed": (0.3, 0.4, 0.5, 0.6, 0.7)},
    published=published,
)
