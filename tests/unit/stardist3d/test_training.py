"""StarDist's targets and losses, and a whole training run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from images.stardist3d.config import StarDistConfig
from images.stardist3d.method import StarDistTrainParams
from images.stardist3d.training import describe, loss, make_targets, parameters_of
from nucseg.errors import NucsegError
from nucseg.training.job import TrainingJob, going_on
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


def test_labels_beyond_16_bits_are_nuclei_of_their_own():
    two = np.zeros((32, 32, 32), np.int32)
    two[8:24, 8:24, 8:16], two[8:24, 8:24, 16:24] = 1, 2
    many = np.choose(two, (0, 65536, 65537)).astype(np.int32)
    for expected, targets in zip(make_targets(two, CONFIG), make_targets(many, CONFIG), strict=True):
        assert np.array_equal(expected, targets)


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


def test_the_network_to_start_from_is_what_is_recorded():
    def go_on(config, **asked):
        job = TrainingJob([], [], Path(), StarDistTrainParams(**asked), "cpu", lambda done, text: None)
        return going_on(job, parameters_of(config), {"input": {"nucleus_diameter_voxels": 12}}).params

    assert go_on(CONFIG).n_rays == go_on(CONFIG, n_rays=32).n_rays == 32
    with pytest.raises(NucsegError, match=r"--n_rays 96: the model to start from has 32"):
        go_on(CONFIG, n_rays=96)
    assert go_on(CONFIG).diameter == 12
    assert go_on(CONFIG, diameter=20.0).diameter == 20
    resnet = StarDistConfig(backbone="resnet", n_rays=96)
    assert go_on(resnet).n_rays == 96
    with pytest.raises(NucsegError, match="--depth 3: the model to start from has no such number"):
        go_on(resnet, depth=3)


def test_the_loss_is_least_at_the_target():
    prob, dist = (torch.from_numpy(array)[None] for array in make_targets(ball(), CONFIG))
    logits = torch.logit(prob.clamp(1e-4, 1 - 1e-4))
    best = loss((logits, dist), (prob, dist))
    assert best["dist"] < 1e-3
    # A distance that is off by one voxel everywhere costs the weight of the distance term.
    off = loss((logits, dist + 1), (prob, dist))
    assert off["dist"].item() == pytest.approx(0.2, abs=1e-3)
    assert loss((-logits, dist), (prob, dist))["prob"] > best["prob"] + 0.5
