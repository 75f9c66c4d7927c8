"""What such a method consists of; everything else is this package's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from nucseg.training.loop import Loss
from nucseg.volume import Shape

Thresholds = Mapping[str, float]
Published = tuple[dict[str, Any], Mapping[str, np.ndarray], dict[str, Any]]


class DenseModule(Protocol):
    """A torch module that maps (N, C, Z, Y, X) to a tuple of logits (N, 1, Z, Y, X).

    Attributes
    ----------
    divisor : tuple of int
        What the axes of its input must be multiples of, ZYX.
    halo : tuple of int
        Voxels at each face of a tile that only serve as context.
    patch : tuple of int or None
        The only shape of input that it takes, where its result depends on that.
    """

    divisor: Shape
    halo: Shape
    patch: Shape | None


@dataclass(frozen=True)
class Design:
    """One method.

    Attributes
    ----------
    method : str
        Its name.
    build : callable
        From `config` of ``model.json`` to a module (`DenseModule`).
    targets : callable
        From a label patch (int32 ZYX, `nucseg.training.patches.OUTSIDE` where unknown) to float32 targets
        (1, Z, Y, X), -1 where unknown. A function of a module, so that workers can be given it.
    loss : callable
        As for `nucseg.training.loop.fit`.
    instances : callable
        From probabilities (one ZYX array per output; the first is that of nuclei), thresholds and the
        diameter of a nucleus in voxels to a label image, any unsigned type.
    choices : mapping
        Thresholds that tuning tries; "foreground" is one, the least probability of a nucleus' voxel.
    published : callable, optional
        Reads a model in the upstream format: config, state dict and description; None for anything else.
    """

    method: str
    build: Callable[[Mapping[str, Any]], torch.nn.Module]
    targets: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    loss: Loss
    instances: Callable[[Sequence[np.ndarray], Thresholds, float], np.ndarray]
    choices: Mapping[str, Sequence[float]]
    published: Callable[[Path], Published | None] = lambda path: None
