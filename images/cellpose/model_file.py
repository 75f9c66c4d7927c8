"""Model files of Cellpose 1 to 3: a torch state dict of upstream's CPnet, checked before anything is built of it.

Upstream takes a path that it can't find for the name of a model to download, and loads what fits of a
file that is none of its own; so both are ruled out here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import content_sha256
from nucseg.models import DESCRIPTION, load_weights, read_checkpoint, read_model
from nucseg.planes import only_file

HINT = "name a model of the image, or a folder that holds one model file of Cellpose 1 to 3 and nothing else"

OPTIONAL = ("diam_mean", "diam_labels", "num_batches_tracked")
"""Ends of names that old files lack and the network does without."""

State = Mapping[str, torch.Tensor]


def load_any(path: Path) -> tuple[dict[str, Any], State]:
    """Description and state dict of one of our model folders, or of a model file.

    Parameters
    ----------
    path : pathlib.Path
        The file, or a folder that holds exactly one.

    Raises
    ------
    NucsegError
        `USAGE`: there is no such file, or it holds no network of Cellpose 1 to 3.
    """
    if (path / DESCRIPTION).is_file():
        model = read_model(path, "cellpose")
        state: State = {key: torch.from_numpy(np.asarray(array)) for key, array in load_weights(model).items()}
        config_of_state(state, path)
        return dict(model.info), state
    file = only_file(path, HINT)
    state = _read(file)
    config = config_of_state(state, file)
    return {
        "name": file.stem,
        "method": "cellpose",
        "config": config,
        "input": {"nucleus_diameter_voxels": _diameter(state, file)},
        "licence": "unknown",
        "sha256": content_sha256(file),
    }, state


def config_of_state(state: State, path: Path) -> dict[str, Any]:
    """What builds upstream's CPnet: `nchan`, `nclasses` and `nbase`, from the shapes of its weights.

    Raises
    ------
    NucsegError
        `USAGE`: these are not the weights of a segmentation network of Cellpose 1 to 3.
    """
    if "W2" in state:
        raise NucsegError(
            f"{path} is a model of Cellpose 4", "use the method cellpose_sam, or a model of 1 to 3", USAGE
        )
    first = "downsample.down.res_down_{}.conv.conv_0.2.weight"
    levels = [state[first.format(n)].shape for n in range(9) if first.format(n) in state]
    last = state.get("output.2.weight")
    if not levels or last is None or any(len(shape) != 4 for shape in levels):
        raise NucsegError(f"{path} holds no residual U-Net of Cellpose", HINT, USAGE)
    nchan, nclasses = int(levels[0][1]), int(last.shape[0])
    if (nchan, nclasses) != (2, 3):
        cause = f"the network in {path} has {nchan} inputs and {nclasses} outputs, where segmentation has 2 and 3"
        raise NucsegError(cause, HINT, USAGE)
    return {"nchan": nchan, "nclasses": nclasses, "nbase": [nchan, *(int(shape[0]) for shape in levels)]}


def build(config: Mapping[str, Any], state: State, diameter: float) -> torch.nn.Module:
    """Upstream's CPnet with these weights.

    Raises
    ------
    NucsegError
        `USAGE`: the weights are not all there, or of other shapes.
    """
    from cellpose.resnet_torch import CPnet

    network = CPnet(list(config["nbase"]), config["nclasses"], sz=3, mkldnn=False, diam_mean=diameter)
    try:
        missing, unknown = network.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        raise NucsegError(
            f"the model's weights don't fit: {str(error).splitlines()[-1].strip()}", HINT, USAGE
        ) from None
    wrong = [key for key in missing if not key.endswith(OPTIONAL)] + unknown
    if wrong:
        raise NucsegError(f"the model's weights don't fit: {len(wrong)} are amiss, such as {wrong[0]}", HINT, USAGE)
    return network


def _read(file: Path) -> State:
    state = read_checkpoint(file, HINT)
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise NucsegError(f"{file} is no model file of Cellpose: it holds no weights by name", HINT, USAGE)
    return state


def _diameter(state: State, file: Path) -> float:
    """Pixels across a nucleus in training, by upstream's rule (``models.get_model_params``)."""
    if file.name.endswith("nucleitorch_0"):
        return 17.0
    return float(state["diam_mean"].item()) if "diam_mean" in state else 30.0
