"""Each design's targets hold what its nuclei are made of: from perfect maps come the true nuclei."""

from importlib import import_module

import numpy as np
import pytest
import torch

from nucseg.instances import drop_small
from nucseg.metrics.matching import match
from nucseg.simulation import simulate
from nucseg.training.pairs import make_pair
from nucseg.training.patches import OUTSIDE, PatchPlan, cut_patch

DESIGNS = ("unet3d", "qcanet", "deepsynth")
DIAMETER = 16.0


@pytest.fixture(scope="module")
def labels():
    pair = make_pair(*simulate("tissue", seed=3, shape=(40, 96, 96)))
    plan = PatchPlan((64, 64, 64), DIAMETER)
    return np.maximum(cut_patch(pair, plan, np.random.default_rng(5))[1], 0)


def design_of(name):
    return import_module(f"images.{name}.design").DESIGN


@pytest.mark.parametrize("name", DESIGNS)
def test_perfect_maps_give_the_true_nuclei(name, labels):
    design = design_of(name)
    maps = [target[0].astype(np.float16) for target in design.targets(labels)]
    thresholds = {key: values[len(values) // 2] for key, values in design.choices.items()}
    found = drop_small(design.instances(maps, thresholds, DIAMETER), 30)
    whole = drop_small(labels.copy().astype(np.uint32), 30)
    # A mask alone doesn't say where nuclei that touch end, so DeepSynth has to guess.
    assert match(whole, found, (0.5,))[0].f1 > (0.8 if name == "deepsynth" else 0.95)


@pytest.mark.parametrize("name", DESIGNS)
def test_what_is_unknown_is_not_learned(name, labels):
    design = design_of(name)
    unknown = labels.copy()
    unknown[:, :, 32:] = OUTSIDE
    targets = design.targets(unknown)
    assert all((target[..., 32:] == -1).all() and target.dtype == np.float32 for target in targets)
    assert all(target.shape == (1, *labels.shape) for target in targets)
    tensors = tuple(torch.from_numpy(target)[None] for target in targets)
    logits = [torch.zeros_like(target) for target in tensors]
    changed = [logit.clone() for logit in logits]
    for logit in changed:
        logit[..., 33:] = 9
    assert design.loss(tuple(changed), tensors) == design.loss(tuple(logits), tensors)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_loss_is_least_at_the_target(name, labels):
    design = design_of(name)
    tensors = tuple(torch.from_numpy(target)[None] for target in design.targets(labels))
    good, bad = (tuple(sign * 20 * (target - 0.5) for target in tensors) for sign in (1, -1))
    best, worst = design.loss(good, tensors), design.loss(bad, tensors)
    assert all(float(term) < 0.01 for term in best.values())
    assert all(float(worst[key]) > 1 for key in best)
