"""Methods that see a volume plane by plane: their network inside upstream's code, and the diameter from sections."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from nucseg.errors import USAGE, NucsegError
from nucseg.instances import SMALLEST
from nucseg.method import Report
from nucseg.normalisation import intensity_limits, percentile_range
from nucseg.plane_params import PlaneParams
from nucseg.runtime import Network
from nucseg.scaling import Sizes, View, check_scale, find_diameter, isotropic
from nucseg.volume import Shape, Volume

SectionLabels = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From a plane (Y, X) with intensities from 0 to 1 to its labels and the logits of being a nucleus, both (Y, X)."""

SECTIONS = 5
"""Planes that are looked at to measure the diameter."""

BALL_PER_SECTION = 1.2
"""Diameter of a ball to that of its sections: the mean section has pi/4 of the ball's; the smallest aren't seen."""

STYLES = 256
"""Features of the style vector that upstream takes from any network."""

NETWORK_SHARE = 0.9
"""Part of the work that the network is; the rest is making labels of its flows."""

UPSTREAM_PERCENTILES = (1.0, 99.0)

OVERLAP = 0.1
"""Part of a tile that it shares with the next one, on each side: upstream's."""


class PlaneNetwork(torch.nn.Module):
    """A trained network of planes, as upstream's own code calls it, that counts its tiles.

    Parameters
    ----------
    run : callable
        Maps (N, C, Y, X), on `device` and of `dtype`, to the outputs (N, nout, Y, X).
    nout : int
        Channels of the output.
    device : torch.device
    dtype : torch.dtype
    """

    mkldnn = False

    def __init__(
        self,
        run: Callable[[torch.Tensor], torch.Tensor],
        nout: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.run, self.nout, self.device, self.dtype = run, nout, device, dtype
        self.expect(0, lambda fraction, text: None)

    @classmethod
    def compiled(cls, network: Network, nout: int) -> "PlaneNetwork":
        """Of what `nucseg.runtime.compile_network` made; its first output counts."""
        return cls(lambda x: torch.from_numpy(network(x.numpy())[0]), nout, torch.device("cpu"))

    def expect(self, tiles: int, progress: Report) -> None:
        """From now on, report how many of so many tiles are done."""
        self._tiles, self._done, self._progress = tiles, 0, progress

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs, float32, and in the place of styles, which are of no use for labels, ones."""
        with torch.inference_mode():
            outputs = self.run(x).float()
        self._done += len(x)
        if self._tiles:
            share = NETWORK_SHARE * min(1.0, self._done / self._tiles)
            text = f"tile {self._done} of {self._tiles}" if self._done < self._tiles else "following the flows"
            self._progress(share, text)
        return outputs, torch.ones(len(x), STYLES)


@dataclass(frozen=True)
class PlaneSegmenter(ABC):
    """A `nucseg.method.Segmenter` around an upstream of Cellpose's kind, which makes labels of a network's flows.

    Attributes
    ----------
    upstream : CellposeModel
        Its network is `network`.
    network : PlaneNetwork
    info : dict
        Contents of ``model.json``, or the same made for a file of weights.
    """

    tile: ClassVar[int]
    """Upstream's edge of a tile."""

    upstream: Any
    network: PlaneNetwork
    info: dict[str, Any]

    @abstractmethod
    def section(self, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`SectionLabels`, at the model's own scale."""

    @abstractmethod
    def padded(self, length: int) -> int:
        """Length of an axis of a plane as upstream pads it."""

    @abstractmethod
    def arguments(self, data: np.ndarray, limits: tuple[float, float] | None) -> dict[str, Any]:
        """How this upstream takes the volume, and the intensities that become 0 and 1 where they are not its own."""

    def segment(self, volume: Volume, params: PlaneParams, progress: Report) -> np.ndarray:
        """Labels of a volume; see `nucseg.method.Segmenter`."""
        declared = self.info["input"]
        wanted, own = float(declared["nucleus_diameter_voxels"]), declared.get("percentiles")
        percentiles = own or UPSTREAM_PERCENTILES
        limits = intensity_limits(volume.data, *percentiles)
        # Upstream, which takes them of a sample of the voxels, would see nothing where its percentiles are equal.
        given = own or limits != percentile_range(volume.data, *percentiles)
        measured = nucleus_diameter(volume, params.nucleus_diameter, wanted, limits, self.section, progress)
        diameter, anisotropy = plane_geometry(volume, measured, params.anisotropy)
        zoom = wanted / diameter
        seen = seen_shape(volume.shape, zoom, anisotropy)
        check_scale(View(volume, (anisotropy * zoom, zoom, zoom), limits), declared, params.nucleus_diameter)
        self.network.expect(count_tiles(seen, self.tile, self.padded), progress)
        labels, _, _ = self.upstream.eval(
            **self.arguments(volume.data, limits if given else None),
            do_3D=True,
            z_axis=0,
            anisotropy=anisotropy,
            diameter=diameter,
            flow3D_smooth=params.flow3d_smooth,
            cellprob_threshold=params.cellprob_thresh + self.info.get("thresholds", {}).get("cellprob", 0.0),
            min_size=params.min_size or least_voxels(diameter, anisotropy),
        )
        self.network.expect(0, progress)
        result: np.ndarray = labels.reshape(volume.shape)
        return result


def count_tiles(shape: Shape, edge: int, padded: Callable[[int], int]) -> int:
    """Tiles of all YX, ZY and ZX planes of a volume, as Cellpose cuts them (``core.run_net`` without augmentation).

    Parameters
    ----------
    shape : tuple of int
        As the network sees it, ZYX.
    edge : int
        Of a tile.
    padded : callable
        From the length of an axis to that of the padded axis.
    """
    z, y, x = (
        1 if (length := padded(size)) <= edge else math.ceil((1 + 2 * OVERLAP) * length / edge) for size in shape
    )
    return shape[0] * y * x + shape[1] * z * x + shape[2] * z * y


def nucleus_diameter(
    volume: Volume, said: float, wanted: float, limits: tuple[float, float], segment: SectionLabels, progress: Report
) -> float:
    """Diameter of the nuclei in voxels of size `isotropic(volume)`: the user's, or measured on a few planes.

    Parameters
    ----------
    volume : Volume
    said : float
        The user's, in µm (in voxels when the volume has no voxel size); 0 when not said.
    wanted : float
        Diameter in voxels that the model was trained at; the result when no nucleus is found.
    limits : tuple of float
        Intensities that become 0 and 1.
    segment : callable
        See `SectionLabels`.
    progress : callable
    """
    if said:
        return said / isotropic(volume)
    return find_diameter(volume, wanted, limits, lambda view: measure_sections(view, segment), progress) or wanted


def measure_sections(view: View, segment: SectionLabels) -> Sizes:
    """Diameters, in voxels of the view, and probabilities of the nuclei that some evenly spaced YX planes cut."""
    depth, height, width = view.shape
    planes = np.unique(np.linspace(0, depth - 1, min(depth, SECTIONS) + 2)[1:-1].round().astype(int))
    sizes, probabilities = [np.zeros(0)], [np.zeros(0)]
    for z in planes.tolist():
        plane = view.read((slice(z, z + 1), slice(0, height), slice(0, width)))[0]
        labels, logits = segment(plane)
        areas = np.bincount(labels.ravel())[1:]
        sums = np.bincount(labels.ravel(), logits.ravel())[1:]
        present = areas > 0
        sizes.append(BALL_PER_SECTION * np.sqrt(areas[present] * 4 / np.pi))
        probabilities.append(1 / (1 + np.exp(-sums[present] / areas[present])))
    return np.concatenate(sizes), np.concatenate(probabilities)


def plane_geometry(volume: Volume, diameter: float, anisotropy: float) -> tuple[float, float]:
    """The diameter in pixels of a YX plane, and how much thicker a plane is than its pixels.

    Parameters
    ----------
    volume : Volume
    diameter : float
        In voxels of size `isotropic(volume)`.
    anisotropy : float
        The user's; 0 takes that of the voxel size.
    """
    size: Any = volume.voxel_size or (1.0, 1.0, 1.0)
    pixel = math.sqrt(size[1] * size[2])
    return diameter * isotropic(volume) / pixel, anisotropy or size[0] / pixel


def least_voxels(diameter: float, anisotropy: float) -> int:
    """Voxels of the smallest object that counts as a nucleus.

    Parameters
    ----------
    diameter, anisotropy : float
        Of a typical nucleus, as `plane_geometry` has them.
    """
    return round(SMALLEST * math.pi / 6 * diameter**3 / anisotropy)


def seen_shape(shape: Shape, rescale: float, anisotropy: float) -> Shape:
    """Shape of the volume that the network sees, by upstream's rounding.

    Raises
    ------
    NucsegError
        Less than one voxel would be left of it.
    """
    z, y, x = int(shape[0] * anisotropy * rescale), int(shape[1] * rescale), int(shape[2] * rescale)
    if not min(z, y, x):
        cause = "at this nucleus diameter, less than a voxel is left of the volume for the network to see"
        raise NucsegError(cause, "give a smaller --nucleus_diameter")
    return z, y, x


def only_file(path: Path, hint: str) -> Path:
    """The file itself, or the only one of a folder.

    Raises
    ------
    NucsegError
        `USAGE`: there is none, or more than one.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise NucsegError(f"there is no model at {path}", hint, USAGE)
    files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    if len(files) != 1:
        raise NucsegError(f"the model folder {path} holds {len(files)} files instead of one", hint, USAGE)
    return files[0]
