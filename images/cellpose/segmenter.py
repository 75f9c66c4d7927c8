"""A loaded Cellpose 3 model: upstream's code makes the labels, on a network that tells how far it is."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose import models, transforms

from images.cellpose.method import CellposeParams
from images.cellpose.model_file import State, build, load_any
from nucseg.method import Report
from nucseg.normalisation import intensity_limits, percentile_range
from nucseg.planes import PlaneNetwork, count_tiles, least_voxels, nucleus_diameter, plane_geometry, seen_shape
from nucseg.runtime import compile_network
from nucseg.volume import Volume

TILE, OVERLAP = 224, 0.1
"""Upstream's edge of a tile and the part that it shares with the next."""

UPSTREAM_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class CellposeSegmenter:
    """Upstream's model with its network, and what the model says of itself."""

    upstream: Any
    network: PlaneNetwork
    info: dict[str, Any]

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

    def segment(self, volume: Volume, params: CellposeParams, progress: Report) -> np.ndarray:
        """Labels of a volume; see `nucseg.method.Segmenter`."""
        own = self.info["input"].get("percentiles")
        percentiles = own or UPSTREAM_PERCENTILES
        limits = intensity_limits(volume.data, *percentiles)
        # Upstream, which takes them of a sample of the voxels, would see nothing where its percentiles are equal.
        given = own or limits != percentile_range(volume.data, *percentiles)
        wanted = float(self.upstream.diam_mean)
        measured = nucleus_diameter(volume, params.nucleus_diameter, wanted, limits, self.section, progress)
        diameter, anisotropy = plane_geometry(volume, measured, params.anisotropy)
        seen = seen_shape(volume.shape, wanted / diameter, anisotropy)
        settings = {
            "diameter": diameter,
            # One row per channel: the second one is empty, and stays so.
            "normalize": {"normalize": True, "lowhigh": [limits, (0, 1)] if given else None},
            "cellprob_threshold": params.cellprob_thresh + self.info.get("thresholds", {}).get("cellprob", 0.0),
            "min_size": params.min_size or least_voxels(volume, measured),
        }
        self.network.expect(count_tiles(seen, TILE, OVERLAP, _padded), progress)
        labels, _, _ = self.upstream.eval(
            np.asarray(volume.data),
            do_3D=True,
            channels=[0, 0],
            z_axis=0,
            anisotropy=anisotropy,
            flow3D_smooth=params.flow3d_smooth,
            **settings,
        )
        self.network.expect(0, progress)
        return labels.reshape(volume.shape)

    def section(self, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and logits of a normalised plane at the model's own scale."""
        # A mapping, because upstream keeps a plain Boolean as the default of all later calls.
        return self._plane(plane, {"diameter": float(self.upstream.diam_mean), "normalize": {"normalize": False}})

    def _plane(self, plane: np.ndarray, settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
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


def _padded(length: int) -> int:
    before, after, _, _ = transforms.get_pad_yx(length, length)
    return length + before + after
