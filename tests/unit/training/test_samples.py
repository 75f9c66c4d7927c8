"""Samples come in the same order however many processes make them, and the processes share what they read."""

import os
import pickle
from contextlib import closing
from functools import partial
from itertools import islice

import numpy as np
import pytest

from images.deepsynth.design import make_targets
from nucseg.dense.training import _sample
from nucseg.simulation import simulate
from nucseg.training import samples
from nucseg.training.pairs import make_pair
from nucseg.training.params import TrainParams
from nucseg.training.patches import PatchPlan
from nucseg.training.samples import ARRAYS, Mapped, batches
from nucseg.training.teach import SampleMaker

PARAMS = TrainParams(patches=8, steps=20)


@pytest.fixture(scope="module")
def maker():
    pairs = [make_pair(*simulate("tissue", seed=seed, shape=(24, 48, 48))) for seed in (1, 2)]
    return SampleMaker(pairs, PatchPlan((16, 16, 16), 12), partial(_sample, make_targets), 1)


def first(maker, folder, step, count, workers):
    with closing(batches(maker, PARAMS, step, folder, "cpu", workers)) as source:
        found = list(islice(source, count))
        assert (folder / ARRAYS).exists() == (workers > 0)
    assert list(folder.iterdir()) == []
    return found


def same(one, other):
    return all(np.array_equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_what_this_process_makes(maker, tmp_path, workers):
    alone = first(maker, tmp_path, 0, 4, 0)
    assert alone[0][0].shape == (8, 1, 16, 16, 16)
    assert same(alone, first(maker, tmp_path, 0, 4, workers))


def test_a_resumed_run_sees_the_batches_of_one_that_was_never_cut(maker, tmp_path):
    assert same(first(maker, tmp_path, 0, 5, 0)[3:], first(maker, tmp_path, 3, 2, 1))


def test_what_goes_to_a_worker_is_a_path_and_not_the_volumes(maker, tmp_path):
    sent = pickle.dumps(Mapped(maker, tmp_path / ARRAYS))
    assert len(sent) < 20_000 < sum(pair.labels.nbytes for pair in maker.pairs)
    copy = pickle.loads(sent)
    for pair, read in zip(maker.pairs, copy.pairs, strict=True):
        for mine, its in ((pair.volume.data, read.volume.data), (pair.labels, read.labels)):
            assert np.array_equal(mine, its)
            assert its.ctypes.data % samples.ALIGNMENT == 0
            assert not its.flags.owndata
    assert same([maker(7)], [copy(7)])


def test_a_function_without_arrays_is_sent_too(tmp_path):
    assert pickle.loads(pickle.dumps(Mapped(len, tmp_path / ARRAYS)))("abc") == 3


@pytest.mark.parametrize("before", [None, "4"])
def test_workers_have_one_thread_and_this_process_keeps_its_own(monkeypatch, before):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if before:
        monkeypatch.setenv("OMP_NUM_THREADS", before)
    with samples._one_thread_each():
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ.get("OMP_NUM_THREADS") == before


def test_a_gpu_gets_more_workers_than_a_cpu(monkeypatch):
    monkeypatch.setattr(samples, "usable_cores", lambda: 5)
    assert (samples.worker_count("cuda"), samples.worker_count("cpu")) == (4, 1)
    monkeypatch.setattr(samples, "usable_cores", lambda: 1)
    assert samples.worker_count("cuda") == 1
