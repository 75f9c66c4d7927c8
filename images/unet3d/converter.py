"""Checkpoints of pytorch-3dunet (``*.pytorch``), read without running code that a file might hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import content_sha256
from nucseg.models import read_checkpoint

HINT = "give the checkpoint as pytorch-3dunet saved it"

SUFFIXES = (".pytorch", ".pt", ".pth")

VOXEL_SIZES_UM = {
    "FOR2581_PlantSeg_Plant_Nuclei_3D.pytorch": (0.2837, 0.1268, 0.1268),
    "unet3d-lateral-root-nuclei-lightsheet.pytorch": (0.25, 0.1625, 0.1625),
    "unet-bce-dice-ab-nuclei-boundary-090121.pytorch": (1.0, 0.2, 0.2),
}
"""Voxel sizes ZYX that the published nuclei models were trained at (PlantSeg's models_zoo.yaml)."""

THRESHOLDS = {"foreground": 0.5, "seed": 0.6}
"""Seeds: what Go-Nuclear's watershed floods from, where the boundary map is below 0.4."""


def is_published(path: Path) -> bool:
    """Whether this is a file, or a folder with a file, that is named like a checkpoint of upstream's."""
    return _candidates(path) != []


def load_published(path: Path) -> tuple[dict[str, Any], Mapping[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint that pytorch-3dunet wrote.

    Parameters
    ----------
    path : pathlib.Path
        A ``*.pytorch``, ``*.pt`` or ``*.pth`` file, or a folder that holds exactly one. The file is a
        state dict, or a checkpoint with one as ``model_state_dict``.

    Returns
    -------
    config : dict
        Arguments of `images.unet3d.network.UNet3D`, inferred from the weights.
    state : mapping of str to numpy.ndarray
        Weights under upstream's names, which are that network's.
    info : dict
        What a ``model.json`` holds, with the voxel size for `VOXEL_SIZES_UM`'s files.

    Raises
    ------
    NucsegError
        `USAGE`: no file or several, one that can't be read, or one of another network.
    """
    from images.unet3d.network import config_of_state

    file = _only_file(path)
    state = _read(file)
    config = config_of_state(state)
    if config["in_channels"] != 1 or config["out_channels"] > 2:
        raise NucsegError(
            f"the network in {file} maps {config['in_channels']} channel(s) to {config['out_channels']}",
            "use one that maps one channel to nuclei, or to nuclei and their boundaries",
            USAGE,
        )
    declared: dict[str, Any] = {"standardised": True}
    if size := VOXEL_SIZES_UM.get(file.name):
        declared["voxel_size_um"] = list(size)
    info = {
        "name": file.stem if path.is_file() else path.name,
        "method": "unet3d",
        "config": config,
        "thresholds": dict(THRESHOLDS),
        "input": declared,
        "licence": "unknown",
        "source": {"file": file.name, "sha256": content_sha256(file)},
    }
    return config, state, info


def _candidates(path: Path) -> list[Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.suffix in SUFFIXES and file.name[0] != "." and file.is_file()]


def _only_file(path: Path) -> Path:
    files = _candidates(path)
    if not files:
        raise _unreadable(f"{path} has no checkpoint ({', '.join(f'*{suffix}' for suffix in SUFFIXES)})")
    if len(files) > 1:
        raise NucsegError(
            f"the folder {path} has {len(files)} checkpoints: {', '.join(file.name for file in files)}",
            "leave only the one to use in it",
            USAGE,
        )
    return files[0]


def _read(file: Path) -> dict[str, np.ndarray]:
    import torch
    from torch.serialization import safe_globals

    # The score in a checkpoint may be a number of numpy's; files of numpy 1 name its maker by an old path.
    scalar = np.float64(0).__reduce__()[0]
    harmless: list[Any] = [np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.float32)), scalar]
    harmless.append((scalar, "numpy.core.multiarray.scalar"))
    with safe_globals(harmless):
        content = read_checkpoint(file, HINT)
    if isinstance(content, dict):
        content = content.get("model_state_dict", content)
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise _unreadable(f"{file} holds no state dict")
    # Training on several GPUs puts the network into a wrapper of this name.
    return {
        str(name).removeprefix("module."): (value.float() if value.is_floating_point() else value).numpy()
        for name, value in content.items()
    }


def _unreadable(cause: str) -> NucsegError:
    return NucsegError(cause, HINT, USAGE)
