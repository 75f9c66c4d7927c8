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
from images.stardist3d.prediction import Polyhedra, polyhedra_volumes, predict_labels, predict_polyhedra
from nucseg.method import Report
from nucseg.models import load_weights, read_model
from nucseg.normalisation import percentile_range
from nucseg.progress import say
from nucseg.runtime import Network, compile_network, tile_shape
from nucseg.scaling import Sizes, View, choose_zoom, isotropic, measure_diameter
from nucseg.volume import Region, Shape, Triple, Volume

MEASURING_THRESHOLD = 0.5
"""Least probability of the nuclei that the diameter is measured on."""


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

    def segment(self, volume: Volume, params: StarDistParams, progress: Report) -> np.ndarray:
        """Labels of a volume; see `nucseg.method.Segmenter`."""
        view = self.view(volume, params.nucleus_diameter, progress)
        own = self.info["thresholds"]
        thresholds = {"prob": params.prob_thresh or own["prob"], "nms": params.nms_thresh or own["nms"]}
        tile = self._tile(view.shape)
        return predict_labels(self.network, view, self.config, thresholds, tile, params.max_candidates, progress)

    def view(self, volume: Volume, diameter: float, progress: Report) -> View:
        """The volume at the model's scale; measures the nuclei when their diameter is needed and not known."""
        declared = self.info["input"]
        limits = percentile_range(volume.data, *declared["percentiles"])
        zoom = choose_zoom(volume, declared, diameter)
        if diameter and "nucleus_diameter_voxels" not in declared:
            say("warning: the model doesn't say which diameter it was trained at: --nucleus_diameter has no effect")
        if zoom is None:
            progress(0.0, "measuring the nucleus diameter")

            def look(zoom: Triple, window: Region) -> Sizes:
                found = self.polyhedra(View(volume, zoom, limits, window), MEASURING_THRESHOLD)
                return np.cbrt(polyhedra_volumes(found.dist, self.config) * 6 / np.pi), found.prob

            wanted = declared["nucleus_diameter_voxels"]
            measured = measure_diameter(volume, wanted, look) * isotropic(volume)
            unit = "µm" if volume.voxel_size else "voxels"
            found = f"measured as {measured:.3g} {unit}" if measured else "not measured: no nucleus found at any scale"
            say(f"{volume.source.name}: nucleus diameter {found}")
            zoom = choose_zoom(volume, declared, measured) or (1.0, 1.0, 1.0)
        return View(volume, zoom, limits)

    def polyhedra(self, view: View, prob: float) -> Polyhedra:
        """Nuclei of a view above a probability."""
        thresholds = {"prob": prob, "nms": self.info["thresholds"]["nms"]}
        return predict_polyhedra(self.network, view, self.config, thresholds, self._tile(view.shape))

    def _tile(self, shape: Shape) -> Shape:
        config = self.config
        return tile_shape(shape, self.network.bytes_per_voxel, config.divisor, config.receptive_field, self.device)
