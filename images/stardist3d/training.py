"""Training of StarDist 3D: targets and losses as upstream defines them (stardist/models/model3d.py)."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from images.stardist3d.config import StarDistConfig
from images.stardist3d.method import StarDistTrainParams
from images.stardist3d.network import StarDist3D
from images.stardist3d.segmenter import build, load_any
from images.stardist3d.tuning import tune_thresholds
from nucseg.method import Report, method_folder
from nucseg.models import resolve_model, write_model
from nucseg.runtime import compile_network
from nucseg.training.loop import Sample, fit
from nucseg.training.pairs import Pair, find_pairs
from nucseg.training.patches import OUTSIDE, PatchPlan, cut_patch

PERCENTILES = (1.0, 99.8)
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


def make_sample(
    pairs: Sequence[Pair], weights: Sequence[float], plan: PatchPlan, config: StarDistConfig, seed: int, index: int
) -> Sample:
    """Sample number `index` of the run with this seed: a patch with its targets.

    Returns
    -------
    image : numpy.ndarray
        float32 (1, Z, Y, X).
    prob : numpy.ndarray
        float32 (1, Z', Y', X') on the grid: normalised distance to the border, -1 to be ignored.
    dist : numpy.ndarray
        float32 (n_rays, Z', Y', X'): distance to the border along each ray, in voxels.
    """
    rng = np.random.default_rng([seed, index])
    pair = pairs[rng.choice(len(pairs), p=weights)]
    image, labels = cut_patch(pair, plan, rng)
    prob, dist = make_targets(labels, config)
    return image[None], prob, dist


def make_targets(labels: np.ndarray, config: StarDistConfig) -> tuple[np.ndarray, np.ndarray]:
    """Object probability and ray distances of a label patch, on the network's grid."""
    from stardist.geometry import star_dist3D
    from stardist.utils import edt_prob

    inside = np.maximum(labels, 0)
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


def sampler(pairs: Sequence[Pair], params: StarDistTrainParams, config: StarDistConfig) -> partial[Sample]:
    """`make_sample` bound to a run: pairs are drawn by the square root of their number of nuclei."""
    counts = np.sqrt([len(pair.centres) for pair in pairs])
    plan = PatchPlan(params.patch_size, params.diameter)
    return partial(make_sample, pairs, counts / counts.sum(), plan, config, params.seed)


def train(in_dir: Path, gt_dir: Path, out_dir: Path, params: StarDistTrainParams, device: str, report: Report) -> None:
    """Train on the pairs of two folders and write a model folder.

    Every tenth pair, and at least one when there are several, is kept back to tune the thresholds.

    Raises
    ------
    NucsegError
        `USAGE` when a pair is unfit, or the model to start from is not a StarDist model.
    """
    pairs = find_pairs(in_dir, gt_dir, PERCENTILES)
    kept = pairs[::10]
    learned = [pair for number, pair in enumerate(pairs) if number % 10] or pairs
    torch.manual_seed(params.seed)
    if params.model:
        config, state, _ = load_any(resolve_model(method_folder("stardist3d"), params.model))
        network = build(config, state)
    else:
        config = describe(params)
        network = StarDist3D(config)
    out_dir.mkdir(parents=True, exist_ok=True)
    weights = fit(network, loss, sampler(learned, params, config), params, out_dir, device, report)
    network.load_state_dict(weights)
    info = {
        "name": out_dir.name,
        "method": "stardist3d",
        "config": config.to_dict(),
        "input": {"percentiles": list(PERCENTILES), "nucleus_diameter_voxels": params.diameter},
        "thresholds": tune_thresholds(compile_network(network, "cpu", exact=False), config, kept, params.diameter),
        "training": {**asdict(params), "pairs": sorted({pair.name for pair in learned})},
        "licence": "BSD-3-Clause",
    }
    write_model(out_dir, info, weights)
    (out_dir / "checkpoint.pt").unlink(missing_ok=True)
