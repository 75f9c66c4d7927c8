"""A loaded StarDist model: from a volume to labels at the scale that the model was trained at."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from images.stardist3d.config import StarDistConfig
from images.stardist3d.converter import is_published_folder, load_folder
from images.stardist3d.method import StarDistParams
from images.stardist3d.network import StarDist3D
from images.stardist3d.prediction import BORDER, at_peaks, polyhedra_volumes, predict, predict_candidates
from images.stardist3d.suppression import suppress
from nucseg.labels import Segmented
from nucseg.method import Report
from nucseg.models import load_weights, read_model
from nucseg.progress import say
from nucseg.runtime import Network, compile_network, tile_shape
from nucseg.scaling import Sizes, View, fit_view
from nucseg.tiling import plan_tiles
from nucseg.volume import Shape, Volume

MEASURING = {"prob": 0.5, "nms": 0.3}
"""Thresholds for the nuclei that the diameter is measured on, the same for all models."""


def load_any(folder: Path) -> tuple[StarDistConfig, Mapping[str, np.ndarray], dict[str, Any]]:
    """Config, state dict and description of one of our model folders or of a published one."""
    if is_published_folder(folder):
        return load_folder(folder)
    model = read_model(folder, "stardist3d")
    return StarDistConfig.from_dict(model.info["config"]), load_weights(model), model.info


def build(config: StarDistConfig, state: Mapping[str, np.ndarray]) -> StarDist3D:
    """The network with its weights."""
    network = StarDist3D(config)
    network.load_state_dict({key: torch.from_numpy(array) for key, array in state.items()})
    return network


@dataclass(frozen=True)
class StarDistSegmenter:
    """A network that is ready to run, with what its model says of itself."""

    network: Network
    config: StarDistConfig
    info: dict[str, Any]
    device: str

    @classmethod
    def load(cls, folder: Path, params: StarDistParams, device: str) -> "StarDistSegmenter":
        """Read a model folder and make its network ready for the device."""
        config, state, info = load_any(folder)
        return cls(compile_network(build(config, state), device, exact=params.exact), config, info, device)

    def segment(self, volume: Volume, params: StarDistParams, progress: Report) -> Segmented:
        """Labels of a volume, probabilities and classes; see `nucseg.method.Segmenter`."""
        view = fit_view(volume, self.info["input"], params.nucleus_diameter, self.look, progress)
        self.warn_of_thinness(view)
        own = self.info["thresholds"]
        thresholds = {"prob": params.prob_thresh or own["prob"], "nms": params.nms_thresh or own["nms"]}
        tile = self.tile(view.shape)
        return predict(self.network, view, self.config, thresholds, tile, params.max_candidates, progress)

    def warn_of_thinness(self, view: View) -> None:
        """Say so when the border, where no nucleus is looked for, is half of the volume or more."""
        for axis, size, step in zip("zyx", view.shape, self.config.grid, strict=True):
            if size <= 4 * BORDER * step:
                name = view.volume.source.name
                say(
                    f"note: {name} has {size} voxels along {axis} at the model's scale, and no nucleus is found whose "
                    f"centre is within {BORDER * step} of the border; unet3d, for example, finds them"
                )

    def look(self, view: View) -> Sizes:
        """Diameters and probabilities of the nuclei of a view, by which the scale is found."""
        config = self.config
        tiles = plan_tiles(view.shape, self.tile(view.shape), config.receptive_field, config.divisor)
        candidates = predict_candidates(self.network, view, config, MEASURING["prob"], tiles)
        # Where nuclei appear large, each has thousands of candidates, and its size is about the same in all.
        peaks = candidates[at_peaks(candidates, config.grid)]
        found = peaks[suppress(peaks.points, peaks.dist, peaks.prob, config.rays(), MEASURING["nms"])]
        return np.cbrt(polyhedra_volumes(found.dist, config) * 6 / np.pi), found.prob

    def tile(self, shape: Shape) -> Shape:
        """The largest part of a view of this shape that the network is given at once."""
        config = self.config
        return tile_shape(shape, self.network.bytes_per_voxel, config.divisor, config.receptive_field, self.device)
