"""The training loop learns, repeats and resumes."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from nucseg import runtime
from nucseg.errors import NucsegError
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


def run(folder, report=lambda fraction, text: None, validate=None, **changes):
    folder.mkdir(exist_ok=True)
    params = TrainParams(**{"steps": 3 * INTERVAL, "learning_rate": 0.1, "seed": 5} | changes)
    return fit(network(), loss, make_sample, params, asdict(params), folder, "cpu", report, validate, workers=0)


def test_it_learns_and_writes_its_log(tmp_path):
    weights = run(tmp_path / "a")
    assert weights["weight"].item() == pytest.approx(2, abs=0.1)
    assert weights["bias"].item() == pytest.approx(1, abs=0.1)
    header, *rows = (tmp_path / "a" / "training.tsv").read_text().splitlines()
    assert header.split("\t") == ["step", "seconds", "error", "f1"]
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


def test_the_log_goes_on_where_the_checkpoint_was(tmp_path):
    def cut(fraction, text):
        if f"step {2 * INTERVAL}" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a", cut)
    # A line that was written after the checkpoint, as by a run that was killed in between.
    with (tmp_path / "a" / "training.tsv").open("a") as file:
        file.write("120\t9.9\t0.5\t\n")
    run(tmp_path / "a")
    steps = [line.split("\t")[0] for line in (tmp_path / "a" / "training.tsv").read_text().splitlines()[1:]]
    assert steps == [str(INTERVAL), str(2 * INTERVAL), str(3 * INTERVAL)]


def test_the_best_weights_are_returned_not_the_last(tmp_path):
    seen = []

    def validate(weights):
        seen.append({key: value.clone() for key, value in weights.items()})
        return [0.1, 0.9, 0.5][len(seen) - 1]

    best = run(tmp_path / "a", validate=validate, validate_every=INTERVAL)
    assert len(seen) == 3
    assert torch.equal(best["weight"], seen[1]["weight"])
    assert not torch.equal(best["weight"], seen[2]["weight"])
    rows = [line.split("\t") for line in (tmp_path / "a" / "training.tsv").read_text().splitlines()]
    assert [row[-1] for row in rows] == ["f1", "0.1000", "0.9000", "0.5000"]


@pytest.mark.parametrize(("scores", "kept"), [([0.75, 0.75, 0.7, 0.6], 0), ([0.5, 0.4, 0.6, 0.2], 2)])
def test_a_model_to_start_from_is_kept_where_nothing_is_better(tmp_path, scores, kept, capsys):
    seen = []

    def validate(weights):
        seen.append({key: value.clone() for key, value in weights.items()})
        return scores[len(seen) - 1]

    told = []
    tell = lambda fraction, text: told.append(text)  # noqa: E731
    best = run(tmp_path / "a", tell, validate=validate, validate_every=INTERVAL, from_="general")
    assert len(seen) == 4
    assert torch.equal(best["weight"], seen[kept]["weight"])
    assert told[-1].endswith(f"best F1 {scores[kept]:.3f} at step {kept * INTERVAL}")
    assert ("no validation was better" in capsys.readouterr().out) == (kept == 0)


def test_the_best_weights_survive_a_cut(tmp_path):
    scores = iter([0.9, 0.2, 0.1])
    best = []

    def validate(weights):
        score = next(scores)
        best.extend([{key: value.clone() for key, value in weights.items()}] * (score == 0.9))
        return score

    def cut(fraction, text):
        if f"step {2 * INTERVAL}, error" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a", cut, validate, validate_every=INTERVAL)
    resumed = run(tmp_path / "a", validate=validate, validate_every=INTERVAL)
    assert torch.equal(resumed["weight"], best[0]["weight"])


def test_a_run_without_progress_stops_early(tmp_path):
    scores = iter([0.5, 0.4, 0.3, 0.2])
    run(tmp_path / "a", validate=lambda weights: next(scores), steps=10**6, validate_every=INTERVAL, patience=2)
    last = (tmp_path / "a" / "training.tsv").read_text().splitlines()[-1]
    assert last.split("\t")[0] == str(3 * INTERVAL)


def test_epochs_count_steps():
    assert TrainParams(epochs=3).total_steps == 300
    assert TrainParams(steps=7).total_steps == 7


def test_the_curves_are_drawn(tmp_path):
    from PIL import Image

    run(tmp_path / "a", validate=lambda weights: 0.5)
    with Image.open(tmp_path / "a" / "training.png") as picture:
        assert min(picture.size) > 300
        # Not an empty page.
        assert len(picture.convert("RGB").getcolors(10**6)) > 10


def test_the_seed_decides(tmp_path):
    first, second, other = (run(tmp_path / name, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert torch.equal(first["weight"], second["weight"])
    assert not torch.equal(first["weight"], other["weight"])


@pytest.mark.parametrize("flags", [{"avx2"}, {"avx2", "avx512_bf16"}])
def test_16_bits_are_used_only_where_the_processor_has_them(tmp_path, monkeypatch, flags):
    """Without such instructions a step in bfloat16 takes 15 times one in float32."""
    monkeypatch.setattr(runtime, "_cpu_flags", lambda: flags)
    seen = set()

    def watch(output, targets):
        seen.add(output.dtype)
        return loss(output, targets)

    fit(network(), watch, make_sample, TrainParams(steps=1), {}, tmp_path, "cpu", lambda done, text: None, workers=0)
    assert seen == {torch.bfloat16 if "avx512_bf16" in flags else torch.float32}


def test_minutes_end_a_run(tmp_path):
    run(tmp_path / "a", steps=10**6, minutes=0.02)
    assert (tmp_path / "a" / "training.tsv").exists()


def test_one_overflow_is_skipped_and_many_end_the_run(tmp_path):
    def overflowing(steps):
        seen = []

        def broken(output, targets):
            seen.append(1)
            terms = loss(output, targets)
            return {"error": terms["error"] * float("inf")} if len(seen) in steps else terms

        params = TrainParams(steps=INTERVAL, learning_rate=0.1)
        folder = tmp_path / str(len(steps))
        folder.mkdir()
        return fit(network(), broken, make_sample, params, {}, folder, "cpu", lambda done, text: None, workers=0)

    assert all(torch.isfinite(value).all() for value in overflowing({10}).values())
    with pytest.raises(NucsegError, match="diverged"):
        overflowing(set(range(10, INTERVAL)))
