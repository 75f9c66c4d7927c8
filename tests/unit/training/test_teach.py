"""What all methods' trainings have in common."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from nucseg.errors import NucsegError
from nucseg.training.pairs import Pair
from nucseg.training.teach import best_choice
from nucseg.volume import Volume


def pair(name: str) -> Pair:
    nothing = np.zeros((4, 4, 4), np.int32)
    return Pair(Volume(nothing, None, Path(name)), nothing, (0.0, 1.0), np.zeros((1, 3)), 1.0)


def score(pair: Pair) -> np.ndarray:
    if pair.volume.source.name == "bad.tif":
        raise NucsegError("the network gave values that are not finite numbers", "")
    return np.array([0.5, 0.75, 0.75] if pair.volume.source.name == "a.tif" else [0.5, 0.0, 0.0])


def test_the_best_sum_is_chosen_and_of_equally_good_ones_the_first():
    assert best_choice([pair("a.tif")], score) == 1
    assert best_choice([pair("a.tif"), pair("b.tif")], score) == 0


def test_what_cannot_be_scored_does_not_count(capsys):
    assert best_choice([pair("bad.tif"), pair("a.tif")], score) == 1
    assert best_choice([pair("bad.tif")], score) is None
    assert "bad.tif doesn't count in the thresholds: the network gave" in capsys.readouterr().out


def test_what_a_pair_holds_is_its_fingerprint_whatever_its_name_is():
    changed = replace(pair("a.tif"), labels=np.eye(16, dtype=np.int32).reshape(4, 8, 8))
    assert pair("a.tif").fingerprint == pair("b.tif").fingerprint != changed.fingerprint
