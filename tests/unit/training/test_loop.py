"""The training loop learns, repeats and resumes."""

import numpy as np
import pytest
import torch

from nucseg.training.loop import INTERVAL, fit
from nucseg.training.params import TrainParams


def make_sample(index):
    rng = np.random.default_rng(index)
    image = rng.normal(size=(1, 8, 8, 8)).astype(np.float32)
    return image, 2 * image + 1


def loss(output, targets):
    return {"error": ((output.float() - targets[0]) ** 2).mean()}


def network():
    torch.manual_seed(0)
    return torch.nn.Conv3d(1, 1, 1)


def run(folder, report=lambda fraction, text: None, **changes):
    folder.mkdir(exist_ok=True)
    params = TrainParams(**{"steps": 3 * INTERVAL, "learning_rate": 0.1, "seed": 5} | changes)
    return fit(network(), loss, make_sample, params, folder, "cpu", report, workers=0)


def test_it_learns_and_writes_its_log(tmp_path):
    weights = run(tmp_path / "a")
    assert weights["weight"].item() == pytest.approx(2, abs=0.1)
    assert weights["bias"].item() == pytest.approx(1, abs=0.1)
    header, *rows = (tmp_path / "a" / "training.tsv").read_text().splitlines()
    assert header.split("\t") == ["step", "seconds", "error"]
    assert [int(row.split("\t")[0]) for row in rows] == [INTERVAL, 2 * INTERVAL, 3 * INTERVAL]


def test_a_run_that_was_cut_goes_on_bit_for_bit(tmp_path):
    whole = run(tmp_path / "whole")

    def cut(fraction, text):
        if f"step {2 * INTERVAL}" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", cut)
    resumed = run(tmp_path / "cut")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_the_seed_decides(tmp_path):
    first, second, other = (run(tmp_path / name, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert torch.equal(first["weight"], second["weight"])
    assert not torch.equal(first["weight"], other["weight"])


def test_minutes_end_a_run(tmp_path):
    run(tmp_path / "a", steps=10**6, minutes=0.02)
    assert (tmp_path / "a" / "training.tsv").exists()
