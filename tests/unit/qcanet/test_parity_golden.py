"""Logits that upstream's networks gave on chainer for weights that it wrote (scripts/oracles/qcanet_golden.py)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from images.qcanet.converter import load_published
from images.qcanet.network import QCANet
from nucseg.runtime import compile_network

GOLDEN = Path(__file__).parents[2] / "data" / "qcanet"

# Statistics of the few voxels that four poolings leave magnify the rounding of what came before.
TOLERANCE = {"running": 1e-5, "patch": 1e-4}


@pytest.fixture(scope="module")
def expected():
    with np.load(GOLDEN / "expected.npz") as file:
        return dict(file)


@pytest.fixture(params=TOLERANCE)
def module(request):
    config, state, _ = load_published(GOLDEN)
    module = QCANet(**{**config, "bn_mode": request.param})
    module.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()}, strict=True)
    return request.param, module.eval()


def check(outputs, mode, expected):
    for name, output in zip(("nsn", "ndn"), outputs, strict=True):
        wanted = expected[f"{name}_{mode}"]
        assert wanted.min() < -1
        assert wanted.max() > 1
        found = np.asarray(output)[0, 0, :: expected["every"]]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[mode] * np.abs(wanted).max())


def test_torch_gives_the_logits_of_chainer(module, expected):
    mode, network = module
    with torch.inference_mode():
        check(network(torch.from_numpy(image(expected))), mode, expected)


def test_the_compiled_network_gives_the_logits_of_chainer(module, expected):
    mode, network = module
    check(compile_network(network, "cpu", exact=True)(image(expected)), mode, expected)


def image(expected):
    return expected["image"][None, None].astype(np.float32) / 255
