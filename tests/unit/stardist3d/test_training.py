"""StarDist's targets and losses, and a whole training run."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from images.stardist3d.method import StarDistTrainParams
from images.stardist3d.training import check_start, describe, loss, make_targets
from nucseg.errors import NucsegError
from nucseg.training.patches import OUTSIDE

CONFIG = describe(StarDistTrainParams(n_rays=32))


def ball(size=32, radius=9):
    places = np.indices((size,) * 3) - size // 2
    return (np.linalg.norm(places, axis=0) <= radius).astype(np.int32)


def test_targets_of_a_ball():
    prob, dist = make_targets(ball(), CONFIG)
    assert prob.shape == (1, 16, 16, 16)
    assert dist.shape == (32, 16, 16, 16)
    assert prob[0, 8, 8, 8] == prob.max() == 1
    assert prob.min() == 0
    assert dist[:, 8, 8, 8] == pytest.approx(np.full(32, 9.7), abs=1.0)
    assert not dist[:, 0, 0, 0].any()


def test_voxels_outside_the_volume_are_ignored():
    labels = ball()
    labels[:, :, 20:] = OUTSIDE
    prob, dist = make_targets(labels, CONFIG)
    assert (prob[..., 10:] == -1).all()
    perfect = torch.from_numpy(dist)[None]
    targets = (torch.from_numpy(prob)[None], perfect)
    logits = torch.zeros_like(targets[0])
    changed = logits.clone()
    changed[..., 10:] = 9
    assert loss((changed, perfect), targets)["prob"] == loss((logits, perfect), targets)["prob"]


def test_what_is_asked_for_must_be_what_the_model_to_start_from_has():
    check_start(CONFIG, StarDistTrainParams())
    check_start(CONFIG, StarDistTrainParams(n_rays=32))
    with pytest.raises(NucsegError, match=r"--n_rays 96: the model to start from has 32"):
        check_start(CONFIG, StarDistTrainParams(n_rays=96))
    with pytest.raises(NucsegError, match="2 input channels"):
        check_start(replace(CONFIG, n_channel_in=2), StarDistTrainParams())


def test_the_loss_is_least_at_the_target():
    prob, dist = (torch.from_numpy(array)[None] for array in make_targets(ball(), CONFIG))
    logits = torch.logit(prob.clamp(1e-4, 1 - 1e-4))
    best = loss((logits, dist), (prob, dist))
    assert best["dist"] < 1e-3
    # A distance that is off by one voxel everywhere costs the weight of the distance term.
    off = loss((logits, dist + 1), (prob, dist))
    assert off["dist"].item() == pytest.approx(0.2, abs=1e-3)
    assert loss((-logits, dist), (prob, dist))["prob"] > best["prob"] + 0.5
