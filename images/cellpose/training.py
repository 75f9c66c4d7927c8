"""Training of Cellpose 3: planes cut along all axes; targets and loss as upstream's (cellpose/train.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from cellpose.dynamics import masks_to_flows
from fastremap import renumber

from images.cellpose.method import CellposeParams, CellposeTrainParams
from images.cellpose.model_file import build, load_any
from images.cellpose.segmenter import CellposeSegmenter
from nucseg.training.job import TrainingJob, going_on
from nucseg.training.pairs import Pair, declared_input
from nucseg.training.patches import OUTSIDE
from nucseg.training.samples import Sample
from nucseg.training.teach import MakeTargets, State, mean_f1, teach
from nucseg.volume import Shape

FLOW_SCALE = 5.0
"""The network's flows are so many times unit vectors."""

CELLPROB = (-1.0, 0.0, 1.0)
"""Thresholds that tuning tries."""

TUNED = 3
"""Volumes that it tries them on: each takes the network over all planes of three axes."""


def make_sample(image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Sample:
    """A plane with its targets.

    Parameters
    ----------
    image, labels : numpy.ndarray
        (1, Y, X).

    Returns
    -------
    image : numpy.ndarray
        float32 (2, Y, X); the second channel is empty, as in upstream's models of nuclei.
    target : numpy.ndarray
        float32 (3, Y, X): inside a nucleus or not, -1 where unknown, and the flow along Y and X.
    """
    plane, inside = labels[0], np.maximum(labels[0], 0)
    target = np.zeros((3, *plane.shape), np.float32)
    target[0] = np.where(plane == OUTSIDE, -1, inside > 0)
    if inside.any():
        target[1:] = masks_to_flows(renumber(inside, preserve_zero=True)[0].astype(np.int32))
    return np.stack([image[0], np.zeros_like(image[0])]), target


def loss(output: Sequence[torch.Tensor], targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    """Half the squared error of the flows, times five, and the cross-entropy of being inside."""
    predicted, target = output[0].float(), targets[0]
    known = (target[:, 0] >= 0).float()
    total = known.sum().clamp(min=1)
    error = (predicted[:, :2] - FLOW_SCALE * target[:, 1:]) ** 2
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        predicted[:, 2], target[:, 0].clamp(min=0), reduction="none"
    )
    return {"flow": (error.mean(dim=1) * known).sum() / total / 2, "inside": (entropy * known).sum() / total}


@dataclass
class CellposeLearner:
    """A `nucseg.training.teach.Learner`."""

    config: dict[str, Any]
    module: torch.nn.Module
    patch_shape: Shape
    diameter: float
    device: str
    method: str = "cellpose"

    @property
    def divisor(self) -> Shape:
        """Planes are halved between two levels."""
        step = 2 ** (len(self.config["nbase"]) - 2)
        return 1, step, step

    @property
    def make_targets(self) -> MakeTargets:
        """`make_sample`."""
        return make_sample

    def loss(self, output: Any, targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """`loss`."""
        return loss(output, targets)

    def segmenter(self, state: State) -> tuple[CellposeSegmenter, CellposeParams]:
        """With upstream's threshold."""
        info = {
            "config": self.config,
            "input": declared_input(self.diameter),
            "thresholds": {"cellprob": 0.0},
        }
        return CellposeSegmenter.of(info, dict(state), self.device, exact=False), CellposeParams()

    def tune(self, state: State, pairs: Sequence[Pair]) -> dict[str, float]:
        """The threshold of `CELLPROB` with the best mean F1 on the first pairs."""
        segmenter, params = self.segmenter(state)
        scores = {}
        for threshold in CELLPROB:
            segmenter.info["thresholds"] = {"cellprob": threshold}
            scores[threshold] = mean_f1(segmenter, params, pairs[:TUNED])
        return {"cellprob": max(scores, key=lambda threshold: scores[threshold])}


def train(job: TrainingJob) -> None:
    """Train a network of upstream's, or go on from the job's model."""
    torch.manual_seed(job.params.seed)
    if job.start:
        info, state = load_any(job.start)
        config = info["config"]
        job = going_on(job, {"filters": config["nbase"][1]}, info)
        module = build(config, state, job.params.diameter)
    else:
        from cellpose.resnet_torch import CPnet

        params: CellposeTrainParams = job.params
        config = {"nchan": 2, "nclasses": 3, "nbase": [2, *(params.filters * 2**level for level in range(4))]}
        module = CPnet(list(config["nbase"]), config["nclasses"], sz=3, mkldnn=False, diam_mean=params.diameter)
    size = job.params.patch_size
    teach(job, CellposeLearner(config, module, (1, size, size), job.params.diameter, job.device))
