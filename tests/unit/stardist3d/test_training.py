"""StarDist's targets and losses, and a whole training run."""

import numpy as np
import pytest
import torch

from images.stardist3d.method import METHOD, StarDistTrainParams
from images.stardist3d.segmenter import StarDistSegmenter
from images.stardist3d.training import describe, loss, make_targets
from nucseg.errors import USAGE, NucsegError
from nucseg.formats import write_labels, write_volume
from nucseg.models import read_model
from nucseg.simulation import simulate
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


def test_the_loss_is_least_at_the_target():
    prob, dist = (torch.from_numpy(array)[None] for array in make_targets(ball(), CONFIG))
    logits = torch.logit(prob.clamp(1e-4, 1 - 1e-4))
    best = loss((logits, dist), (prob, dist))
    assert best["dist"] < 1e-3
    # A distance that is off by one voxel everywhere costs the weight of the distance term.
    off = loss((logits, dist + 1), (prob, dist))
    assert off["dist"].item() == pytest.approx(0.2, abs=1e-3)
    assert loss((-logits, dist), (prob, dist))["prob"] > best["prob"] + 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for seed in range(2):
        volume, labels = simulate("embryo", seed=seed, shape=(32, 64, 64))
        write_volume(folder / "images" / f"{seed}.tif", volume.data, volume.voxel_size)
        write_labels(folder / "labels" / f"{seed}.tif", labels, volume.voxel_size)
    params = StarDistTrainParams(steps=50, patch_size=32, patches=2, n_rays=16, filters=4, depth=1, diameter=10.0)
    out = folder / "mine"
    METHOD.train(folder / "images", folder / "labels", out, params, "cpu", lambda fraction, text: None)
    return folder, out, params


def test_training_writes_a_model_that_segments(trained):
    _folder, out, params = trained
    info = read_model(out, "stardist3d").info
    assert info["input"]["nucleus_diameter_voxels"] == params.diameter
    assert set(info["thresholds"]) == {"prob", "nms"}
    assert not (out / "checkpoint.pt").exists()
    settings = METHOD.params(nucleus_diameter=10.0)
    segmenter = StarDistSegmenter.load(out, settings, "cpu")
    volume, _ = simulate("embryo", seed=5, shape=(32, 64, 64))
    assert segmenter.segment(volume, settings, lambda fraction, text: None).shape == volume.shape


def test_training_goes_on_from_a_model(trained, tmp_path):
    folder, out, _params = trained
    more = StarDistTrainParams(steps=1, patch_size=32, patches=2, model=str(out), diameter=10.0)
    METHOD.train(folder / "images", folder / "labels", tmp_path / "more", more, "cpu", lambda fraction, text: None)
    assert read_model(tmp_path / "more", "stardist3d").info["config"] == read_model(out, "stardist3d").info["config"]


def test_training_from_something_else_is_refused(trained, tmp_path):
    folder, _, _ = trained
    params = StarDistTrainParams(steps=1, model="no_such_model")
    with pytest.raises(NucsegError) as error:
        METHOD.train(folder / "images", folder / "labels", tmp_path / "x", params, "cpu", lambda fraction, text: None)
    assert error.value.exit_code == USAGE
