"""Training of StarDist 3D: targets and losses as upstream defines them (stardist/models/model3d.py)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from images.stardist3d.config import StarDistConfig
from images.stardist3d.method import StarDistParams, StarDistTrainParams
from images.stardist3d.network import StarDist3D
from images.stardist3d.segmenter import StarDistSegmenter, build, load_any
from images.stardist3d.tuning import tune_thresholds
from nucseg.errors import USAGE, NucsegError
from nucseg.runtime import compile_network
from nucseg.training.job import TrainingJob, going_on
from nucseg.training.pairs import Pair, declared_input
from nucseg.training.patches import OUTSIDE
from nucseg.training.samples import Sample
from nucseg.training.teach import MakeTargets, State, teach
from nucseg.volume import Shape

DISTANCE_WEIGHT = 0.2
BACKGROUND_WEIGHT = 1e-4


def describe(params: StarDistTrainParams) -> StarDistConfig:
    """The network that these parameters describe: an isotropic U-Net on a grid of 2."""
    return StarDistConfig.from_dict(
        {
            "backbone": "unet",
            "n_rays": params.n_rays,
            "grid": [2, 2, 2],
            "anisotropy": [1.0, 1.0, 1.0],
            "unet_n_depth": params.depth,
            "unet_n_filter_base": params.filters,
            "net_conv_after_unet": 128,
        }
    )


def make_sample(config: StarDistConfig, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Sample:
    """An image patch (1, Z, Y, X) with its targets, all float32."""
    return image[None], *make_targets(labels, config)


def make_targets(labels: np.ndarray, config: StarDistConfig) -> tuple[np.ndarray, np.ndarray]:
    """Targets of a label patch on the network's grid.

    Returns
    -------
    prob : numpy.ndarray
        float32 (1, Z', Y', X'): normalised distance to the border, -1 to be ignored.
    dist : numpy.ndarray
        float32 (n_rays, Z', Y', X'): distance to the border along each ray, in voxels.
    """
    from fastremap import renumber
    from stardist.geometry import star_dist3D
    from stardist.utils import edt_prob

    # star_dist3D counts labels in 16 bits.
    inside = renumber(np.maximum(labels, 0), preserve_zero=True)[0].astype(np.int32)
    on_grid = tuple(slice(0, None, step) for step in config.grid)
    prob = edt_prob(inside, anisotropy=config.anisotropy)[on_grid].astype(np.float32)
    prob[labels[on_grid] == OUTSIDE] = -1
    dist = star_dist3D(inside, config.rays(), mode="cpp", grid=config.grid)
    return prob[None], np.moveaxis(dist, -1, 0).astype(np.float32)


def loss(output: tuple[torch.Tensor, ...], targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    """Cross-entropy of the probability and masked absolute error of the distances.

    The distance error is weighted by the target probability and divided by its mean; on the
    background, distances are pulled to 0 with a small weight.
    """
    logits, dist = (tensor.float() for tensor in output[:2])
    prob, true = targets
    known = (prob >= 0).float()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, prob.clamp(min=0), reduction="none")
    weight = prob.clamp(min=0)
    error = (weight * (dist - true).abs()).mean() / (weight.mean() + 1e-7)
    background = ((1 - weight) * known * dist.abs()).mean()
    return {
        "prob": (entropy * known).sum() / known.sum().clamp(min=1),
        "dist": DISTANCE_WEIGHT * (error + BACKGROUND_WEIGHT * background),
    }


@dataclass
class StarDistLearner:
    """A `nucseg.training.teach.Learner`."""

    network: StarDistConfig
    module: StarDist3D
    patch_shape: Shape
    diameter: float
    device: str
    method: str = "stardist3d"

    @property
    def config(self) -> dict[str, Any]:
        """For ``model.json``."""
        return self.network.to_dict()

    @property
    def divisor(self) -> Shape:
        """The network's."""
        return self.network.divisor

    @property
    def make_targets(self) -> MakeTargets:
        """`make_sample` for this network."""
        return partial(make_sample, self.network)

    def loss(self, output: Any, targets: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        """`loss`."""
        return loss(output, targets)

    def segmenter(self, state: State) -> tuple[StarDistSegmenter, StarDistParams]:
        """With thresholds in the middle of those that are tuned."""
        info = {"input": declared_input(self.diameter), "thresholds": {"prob": 0.5, "nms": 0.4}}
        module = build(self.network, {key: value.numpy() for key, value in state.items()})
        network = compile_network(module, self.device, exact=False)
        return StarDistSegmenter(network, self.network, info, self.device), StarDistParams()

    def tune(self, state: State, pairs: Sequence[Pair]) -> dict[str, float]:
        """`tune_thresholds`."""
        return tune_thresholds(self.segmenter(state)[0], pairs)


def parameters_of(config: StarDistConfig) -> dict[str, int | None]:
    """What the parameters that `describe` takes are in a network; None for those of a U-Net in another one."""
    unet = config.backbone == "unet"
    filters, depth = (config.unet_n_filter_base, config.unet_n_depth) if unet else (None, None)
    return {"n_rays": config.n_rays, "filters": filters, "depth": depth}


def train(job: TrainingJob) -> None:
    """Train a network of the job's parameters, or go on from its model, whose configuration then counts."""
    torch.manual_seed(job.params.seed)
    if job.start:
        config, state, info = load_any(job.start)
        if config.n_channel_in != 1:
            raise NucsegError(
                f"the model to start from takes {config.n_channel_in} input channels, and training has one",
                "start from a model for a single channel",
                USAGE,
            )
        job = going_on(job, parameters_of(config), info)
        network = build(config, state)
    else:
        config = describe(job.params)
        network = StarDist3D(config)
    size = job.params.patch_size
    teach(job, StarDistLearner(config, network, (size, size, size), job.params.diameter, job.device))
