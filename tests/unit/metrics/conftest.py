import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = Path(__file__).parents[2] / "data" / "metrics"
CASES = ("apart_0", "apart_1", "dense", "fine", "no_background", "noise")


@dataclass(frozen=True)
class Case:
    """Two label images and what other programs computed for them."""

    name: str
    gt: np.ndarray
    pred: np.ndarray
    expected: dict[str, Any]


def load(name: str) -> Case:
    expected = json.loads((DATA / "expected.json").read_text())["cases"][name]
    with np.load(DATA / "labels.npz") as arrays:
        return Case(name, arrays[f"{name}_true"], arrays[f"{name}_pred"], expected)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return load(request.param)


@pytest.fixture(scope="session")
def apart_0() -> Case:
    return load("apart_0")


@pytest.fixture
def apart() -> Case:
    return load("apart_1")


@pytest.fixture
def fine() -> Case:
    return load("fine")


@pytest.fixture
def fine_pairs() -> list[dict[str, Any]]:
    return json.loads((DATA / "expected.json").read_text())["fine_pairs"]


def relabelled(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same objects under other labels, with gaps, past 65,535."""
    size = int(labels.max()) + 1
    numbers = np.random.default_rng(seed).permutation(size * 1000)[:size].astype(np.uint32) + 1
    numbers[0] = 0
    return numbers[labels]


@pytest.fixture(name="relabelled")
def _relabelled():
    return relabelled
