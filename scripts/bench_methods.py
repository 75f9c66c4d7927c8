"""The networks that ship, as upstream runs them (torch, float32) against our run-times; a part of ``make bench``.

Upstream's side is the same module in torch with default layout: for cellpose it is upstream's own, for
unet3d its outputs are equal to upstream's to the last bit (tests/unit/unet3d), qcanet's upstream
(Chainer) and deepsynth's are not installable beside it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench_tools import alternate, measure
from nucseg.labels import checked
from nucseg.machine import usable_cores
from nucseg.method import list_methods, load_method, method_folder
from nucseg.metrics.matching import match
from nucseg.models import shipped_models
from nucseg.runtime import compile_network
from nucseg.volume import Volume

SHAPE = (64, 128, 128)
PLANES = (8, 224, 224)
DIAMETER = 14.0
"""Voxels across a nucleus of the volume that labels are compared on."""


@dataclass
class Speed:
    """One method: seconds of the network alone, and how well the default labels agree with the exact ones."""

    method: str
    upstream: float
    exact: float
    default: float
    f1: float
    nuclei: int


def measure_methods(raw: np.ndarray, repeats: int, device: str) -> Iterator[Speed]:
    """Measure every method that ships weights; `raw` is a volume of nuclei of `DIAMETER` voxels."""
    torch.set_num_threads(usable_cores())
    for name in list_methods():
        if not shipped_models(method_folder(name)):
            continue
        sides = [partial(measure, side) for side in networks(name, device)]
        upstream, exact, default = (seconds for seconds, _ in alternate(repeats, *sides))
        truth, labels = (_labels(name, raw, device, exact) for exact in (True, False))
        yield Speed(name, upstream, exact, default, match(truth, labels, (0.9,))[0].f1, int(truth.max()))


def networks(name: str, device: str) -> list[Callable[[], Any]]:
    """Upstream's way, ours in float32 and ours by default, each a call of the network on the same input."""
    folder = method_folder(name) / "weights" / "general"
    rng = np.random.default_rng(0)
    if name == "cellpose":
        from images.cellpose.model_file import build, load_any
        from images.cellpose.segmenter import run_planes

        info, state = load_any(folder)
        planes = torch.from_numpy(rng.random((PLANES[0], 2, *PLANES[1:]), np.float32))
        modules = [build(info["config"], state, info["input"]["nucleus_diameter_voxels"]).eval() for _ in range(3)]
        ours = [
            run_planes(module, device, exact=exact) for module, exact in zip(modules[1:], (True, False), strict=True)
        ]
        return [_upstream(modules[0], planes, device), *(lambda net=net: net(planes) for net in ours)]
    image = rng.random((1, 1, *SHAPE), np.float32)
    modules = [_module(name, folder) for _ in range(3)]
    compiled = [
        compile_network(module, device, exact=exact) for module, exact in zip(modules[1:], (True, False), strict=True)
    ]
    return [_upstream(modules[0], torch.from_numpy(image), device), *(lambda net=net: net(image) for net in compiled)]


def _module(name: str, folder: Path) -> torch.nn.Module:
    if name == "stardist3d":
        from images.stardist3d.segmenter import build, load_any

        config, state, _ = load_any(folder)
        return build(config, state)
    from nucseg.dense import segmenter

    design = import_module(f"images.{name}.design").DESIGN
    weights, info = segmenter.load_any(design, folder)
    return segmenter.build(design, info["config"], weights)


def _upstream(module: torch.nn.Module, x: torch.Tensor, device: str) -> Callable[[], list[torch.Tensor]]:
    """As torch runs it by default: TF32 in the convolutions of a GPU, where any kernel will do."""
    module.eval().to(device)

    def call() -> list[torch.Tensor]:
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=True, deterministic=False):
            return [output.cpu() for output in module(x.to(device)) if torch.is_tensor(output)]

    return call


def _labels(name: str, raw: np.ndarray, device: str, exact: bool) -> np.ndarray:
    method = load_method(name)
    params = method.params(exact=exact, nucleus_diameter=DIAMETER)
    segmenter = method.load(method_folder(name) / "weights" / "general", params, device)
    found = segmenter.segment(Volume(raw, None, Path("bench")), params, lambda fraction, text: None)
    return checked(found, raw.shape).labels
