"""A loaded Cellpose 3 model: upstream's code makes the labels, on a network that tells how far it is."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose import models, transforms

from images.cellpose.method import CellposeParams
from images.cellpose.model_file import State, build, load_any
from nucseg.planes import PlaneNetwork, PlaneSegmenter
from nucseg.runtime import compile_network


class CellposeSegmenter(PlaneSegmenter):
    """Upstream's model with its network, and what the model says of itself."""

    tile = 224

    @classmethod
    def load(cls, path: Path, params: CellposeParams, device: str) -> "CellposeSegmenter":
        """Read one of our model folders or a model file of Cellpose 1 to 3."""
        return cls.of(*load_any(path), device, exact=params.exact)

    @classmethod
    def of(cls, info: dict[str, Any], state: State, device: str, *, exact: bool) -> "CellposeSegmenter":
        """Upstream's model around a network with these weights."""
        logging.getLogger("cellpose").setLevel(logging.ERROR)
        diameter = float(info["input"]["nucleus_diameter_voxels"])
        network = run_planes(build(info["config"], state, diameter), device, exact=exact)
        # Without a name of a model, upstream builds an untrained network and never looks for one to download.
        upstream = models.CellposeModel(
            pretrained_model=False, device=torch.device(device), mkldnn=False, diam_mean=diameter
        )
        upstream.net, upstream.net_ortho = network, None
        return cls(upstream, network, info)

    def arguments(self, data: np.ndarray, limits: tuple[float, float] | None) -> dict[str, Any]:
        """See `PlaneSegmenter`."""
        # One row per channel: the second one is empty, and stays so.
        lowhigh = [limits, (0, 1)] if limits else None
        return {"x": np.asarray(data), "channels": [0, 0], "normalize": {"normalize": True, "lowhigh": lowhigh}}

    def padded(self, length: int) -> int:
        """See `PlaneSegmenter`."""
        before, after, _, _ = transforms.get_pad_yx(length, length)
        return length + before + after

    def section(self, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and logits of a normalised plane at the model's own scale."""
        # A mapping, because upstream keeps a plain Boolean as the default of all later calls.
        settings = {"diameter": float(self.upstream.diam_mean), "normalize": {"normalize": False}}
        # Both channels are given, because upstream takes a short axis of a single one for the channels.
        image = np.stack([plane, np.zeros_like(plane)], axis=-1)
        labels, flows, _ = self.upstream.eval(image, channel_axis=2, **settings)
        return labels.reshape(plane.shape), flows[2].reshape(plane.shape)


def run_planes(module: Any, device: str, *, exact: bool) -> PlaneNetwork:
    """Upstream's network, made fast; on a CPU in exact arithmetic it is upstream's as it is."""
    module = module.eval().requires_grad_(False)
    if exact and device == "cpu":
        return PlaneNetwork(lambda x: module(x)[0], module.nout, torch.device(device))
    module.make_style = _Style()
    return PlaneNetwork.compiled(compile_network(_Outputs(module), device, exact=exact), module.nout)


class _Style(torch.nn.Module):
    """Upstream's style vector, by a mean that can be converted for any size of plane."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=(2, 3))
        return mean / mean.square().sum(dim=1, keepdim=True).sqrt()


class _Outputs(torch.nn.Module):
    """A network of which only the outputs are wanted."""

    divisor = (16, 16)

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.module(x)[0],)
