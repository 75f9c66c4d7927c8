"""Where the image, the ground truth, the labels of each method and their consensus are, opened together."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.errors import NucsegError
from nucseg.failures import explain
from nucseg.folders import find_ground_truth
from nucseg.formats import read_labels, read_volume
from nucseg.morphometry.files import read_table
from nucseg.params import ImageParams, parse_value
from nucseg.record import DONE, read_json
from nucseg.volume import Shape, Triple
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.report.planes import Planes, open_planes

_MOST_IN_MEMORY = 1 << 29
"""Voxels."""

TRUTH = "ground truth"
CONSENSUS = "consensus of the methods"
"""Names of layers beside those of the methods."""


@dataclass
class Stack:
    """One volume, opened.

    Attributes
    ----------
    shape : tuple of int
        ZYX.
    voxel : tuple of float
        In µm; where it isn't known, 1 for each axis.
    raw : Planes or None
        The image, where it is still there.
    layers : dict of str to Planes
        Labels by method; first the ground truth, last the consensus.
    problems : list of str
        What could not be opened.
    """

    shape: Shape
    voxel: Triple
    raw: Planes | None = None
    layers: dict[str, Planes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@contextmanager
def open_stack(out: OutFolder, comparison: dict[str, Any], volume: dict[str, Any]) -> Iterator[Stack]:
    """Open what there is of a volume; what can't be opened is told, and left out."""
    depth, height, width = volume["shape"]
    stack = Stack((depth, height, width), tuple(volume["voxel_size_um"] or (1.0, 1.0, 1.0)))
    name = volume["name"]
    channel, time_point = segmented_part(out)
    with ExitStack() as files:

        def opened(what: str, path: Path | None, load: Callable[[Path], np.ndarray], *choice: int) -> Planes | None:
            try:
                if path is None or not path.exists():
                    raise NucsegError(f"there is no {path or name}")
                if path.is_dir() and math.prod(stack.shape) > _MOST_IN_MEMORY:
                    raise NucsegError("an OME-Zarr image of this size would have to be read as a whole")
                planes = files.enter_context(open_planes(path, lambda: load(path), *choice))
                if planes.shape != stack.shape:
                    raise NucsegError(f"its shape is {planes.shape}, not {stack.shape}")
            except Exception as error:  # a file that a method has choked on must not cost the report
                stack.problems.append(f"{what} is not shown: {explain(error).cause}")
                return None
            return Planes(planes.shape, lambda z: _read(what, planes, z, stack))

        def load_image(path: Path) -> np.ndarray:
            return read_volume(path, channel=channel, time_point=time_point).data

        if comparison["input"]:
            path = Path(comparison["input"]) / name
            stack.raw = opened("The image itself", path, load_image, channel, time_point)
        for layer, folder in label_folders(out, comparison, name).items():
            planes = opened(f"The outline of {layer}", find_labels(folder, name), read_labels)
            if planes is not None:
                stack.layers[layer] = planes
        yield stack


def _read(what: str, planes: Planes, z: int, stack: Stack) -> np.ndarray:
    """A plane; an empty one, and a note of it, where the file is damaged."""
    try:
        return planes.read(z)
    except Exception as error:  # decoders raise nearly anything
        begin = f"{what} has planes that cannot be read: "
        if not any(problem.startswith(begin) for problem in stack.problems):
            stack.problems.append(begin + explain(error).cause)
        return np.zeros(planes.shape[1:], np.uint8)


def label_folders(out: OutFolder, comparison: dict[str, Any], name: str) -> dict[str, Path]:
    """The folders that hold labels of a volume: ground truth, those of each method that has done it, consensus."""
    folders = {}
    if comparison["ground_truth"]:
        folders[TRUTH] = Path(comparison["ground_truth"])
    done = {row["method"] for row in comparison["results"] if row["volume"] == name and row["status"] == DONE}
    for method in comparison["methods"]:
        if method["name"] in done and method["labels"]:
            folders[method["name"]] = out.path / method["labels"]
    if out.consensus_labels.is_dir():
        folders[CONSENSUS] = out.consensus_labels
    return folders


def find_labels(folder: Path, name: str) -> Path | None:
    """The label image of a volume in a folder: of the same name, or one that ground truth may have."""
    try:
        return find_ground_truth(folder, [Path(name)]).get(Path(name))
    except NucsegError:
        return None


def segmented_part(out: OutFolder) -> tuple[int, int]:
    """The channel and the time point that were segmented; -1 where there is only one."""
    params: dict[str, Any] = {}
    for facts in read_json(out.run).get("methods", {}).values():
        params |= facts.get("params") or {}
    known = {item.name: parse_value(item, params.get(item.name, "")) for item in fields(ImageParams)}
    return known["nuc_channel"], known["time_point"]


@dataclass(frozen=True)
class Typical:
    """What is typical of the nuclei of a volume, over all methods.

    Attributes
    ----------
    centre : tuple of float or None
        Median position, ZYX in voxels: where sections show most.
    diameter : float or None
        Median, in µm; in voxels where their size isn't known.
    """

    centre: Triple | None
    diameter: float | None


def typical(out: OutFolder, comparison: dict[str, Any], volume: dict[str, Any]) -> Typical:
    """From the tables of measurements: no label image has to be read for it."""
    centres, diameters = [], []
    for method in comparison["methods"]:
        if not method["measurements"]:
            continue
        try:
            table = read_table(out.path / method["measurements"] / f"{volume['stem']}.csv")
        except (OSError, ValueError):
            continue
        size = table.get("equivalent_diameter_um" if volume["voxel_size_um"] else "equivalent_diameter_voxels")
        places = [table[name] for axis in "zyx" if (name := f"centroid_{axis}_voxels") in table]
        # Somebody may have removed columns in a spreadsheet.
        if size is not None and len(size) and len(places) == 3:
            centres.append([np.median(place) for place in places])
            diameters.append(np.median(size))
    if not centres:
        return Typical(None, None)
    z, y, x = np.median(centres, axis=0).tolist()
    return Typical((z, y, x), float(np.median(diameters)))
