"""A loaded model of a dense method: from a volume to labels at the scale that the model was trained at."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nucseg.dense.design import Design
from nucseg.dense.params import DenseParams
from nucseg.dense.prediction import predict_maps
from nucseg.instances import SMALLEST, drop_small
from nucseg.method import Report
from nucseg.models import DESCRIPTION, load_weights, read_model
from nucseg.runtime import Network, compile_network, tile_shape
from nucseg.scaling import USUAL_DIAMETER, Sizes, View, fit_view
from nucseg.tiling import Tile, plan_patches, plan_tiles
from nucseg.volume import Shape, Volume

State = Mapping[str, np.ndarray]


def load_any(design: Design, folder: Path) -> tuple[State, dict[str, Any]]:
    """State dict and description of one of our model folders, or of one in the upstream format."""
    # Ours first: beside a model that was trained here lies its checkpoint, which looks like others' formats.
    if not (folder / DESCRIPTION).is_file() and (found := design.published(folder)):
        config, state, info = found
        return state, {**info, "config": config}
    model = read_model(folder, design.method)
    return load_weights(model), model.info


def build(design: Design, config: Mapping[str, Any], state: State) -> torch.nn.Module:
    """The module with its weights."""
    module = design.build(config)
    module.load_state_dict({key: torch.from_numpy(np.array(array)) for key, array in state.items()})
    return module


@dataclass(frozen=True)
class DenseSegmenter:
    """A network that is ready to run, with what its model says of itself."""

    design: Design
    network: Network
    shapes: tuple[Shape, Shape, Shape | None]
    info: dict[str, Any]
    device: str

    @classmethod
    def load(cls, design: Design, folder: Path, params: DenseParams, device: str) -> "DenseSegmenter":
        """Read a model folder and make its network ready for the device."""
        state, info = load_any(design, folder)
        return cls.of(design, build(design, info["config"], state), info, device, exact=params.exact)

    @classmethod
    def of(
        cls, design: Design, module: Any, info: dict[str, Any], device: str, *, exact: bool = False
    ) -> "DenseSegmenter":
        """Make a module ready for the device."""
        shapes = (module.divisor, module.halo, getattr(module, "patch", None))
        return cls(design, compile_network(module, device, exact=exact), shapes, info, device)

    @property
    def diameter(self) -> float:
        """Voxels across a nucleus at the model's scale."""
        return float(self.info["input"].get("nucleus_diameter_voxels", USUAL_DIAMETER))

    def segment(self, volume: Volume, params: DenseParams, progress: Report) -> np.ndarray:
        """Labels of a volume; see `nucseg.method.Segmenter`."""
        view = fit_view(volume, self.info["input"], params.nucleus_diameter, self.look, progress)
        own = self.info["thresholds"]
        thresholds = {
            "foreground": params.foreground_thresh or own["foreground"],
            "seed": params.seed_thresh or own["seed"],
        }
        maps = self.maps(view, lambda done, text: progress(0.8 * done, text))
        progress(0.8, "dividing nuclei that touch")
        labels = self.labels(maps, thresholds, self._least(volume, view, params.min_volume))
        progress(0.95, "drawing")
        return view.labels_to_source(labels, maps[0], thresholds["foreground"])

    def maps(self, view: View, progress: Report = lambda done, text: None) -> list[np.ndarray]:
        """Probability maps of a view, the nuclei's first; see `predict_maps`."""
        return predict_maps(self.network, view, self._tiles(view.shape), progress)

    def labels(self, maps: list[np.ndarray], thresholds: Mapping[str, float], least: float) -> np.ndarray:
        """Nuclei of at least so many voxels, at the view's scale."""
        return drop_small(self.design.instances(maps, thresholds, self.diameter), least)

    def look(self, view: View) -> Sizes:
        """Diameters and certainty of the nuclei of a view, by which the scale is found."""
        maps = self.maps(view)
        labels = self.labels(maps, self.info["thresholds"], self.least_voxels)
        volumes = np.bincount(labels.ravel())[1:]
        sums = np.bincount(labels.ravel(), maps[0].ravel())[1:]
        return np.cbrt(volumes * 6 / np.pi), sums / np.maximum(volumes, 1)

    def _least(self, volume: Volume, view: View, min_volume: float) -> float:
        """Voxels of the view that the smallest nucleus has."""
        if not min_volume:
            return self.least_voxels
        edges = volume.voxel_size or (1.0, 1.0, 1.0)
        return float(min_volume / np.prod(edges) * np.prod(view.zoom))

    @property
    def least_voxels(self) -> float:
        """Voxels of the smallest nucleus when the user doesn't say it; 0 where the model doesn't either."""
        return SMALLEST * np.pi / 6 * self.info["input"].get("nucleus_diameter_voxels", 0.0) ** 3

    def _tiles(self, shape: Shape) -> list[Tile]:
        divisor, halo, patch = self.shapes
        if patch:
            return plan_patches(shape, patch, halo)
        tile = tile_shape(shape, self.network.bytes_per_voxel, divisor, halo, self.device)
        return plan_tiles(shape, tile, halo, divisor)
