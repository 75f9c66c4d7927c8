"""Model folders: weights that carry their own description and are checked when they are loaded.

A model folder holds ``weights.safetensors`` and ``model.json`` with these keys:

=============  ====================================================================================
name           The model's name: its folder under ``images/<method>/weights``.
method         The method it is for.
version        Version of nucseg that wrote it.
config         What builds the network; known to the method alone.
thresholds     ``{"prob": 0.5, "nms": 0.4}`` or what else the method decides by.
input          ``percentiles``: ``[1, 99.8]``, the intensities that become 0 and 1, or ``standardised``:
               true, when the mean becomes 0 and the standard deviation 1; and at most one of
               ``nucleus_diameter_voxels``, ``voxel_size_um`` (ZYX) and ``isotropic``: what it was
               trained at (`nucseg.scaling` has the rule).
training       Data, command, steps, seed.
licence        SPDX name.
accuracy       Measured F1 at IoU 0.5 and mean matched IoU per test volume.
sha256         Of ``weights.safetensors``.
=============  ====================================================================================

`REQUIRED` is asked of every model; the methods here need `thresholds` and `input`, too.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg import __version__
from nucseg.errors import USAGE, NucsegError

if TYPE_CHECKING:
    import numpy as np

DESCRIPTION = "model.json"
WEIGHTS = "weights.safetensors"
REQUIRED = ("name", "method", "config", "sha256")


@dataclass(frozen=True)
class Model:
    """A model folder that was read.

    Attributes
    ----------
    name : str
    path : pathlib.Path
        The folder.
    info : dict
        Contents of ``model.json``.
    """

    name: str
    path: Path
    info: dict[str, Any]


def shipped_models(method_dir: Path) -> list[str]:
    """Names of the models that come with a method."""
    return sorted(path.parent.name for path in (method_dir / "weights").glob(f"*/{DESCRIPTION}"))


def resolve_model(method_dir: Path, value: str, flag: str = "--model") -> Path:
    """The folder, or the file in an upstream format, that the parameter `model` means.

    Parameters
    ----------
    method_dir : pathlib.Path
        Folder of the method.
    value : str
        Name of a shipped model, or path of a folder or file (one mounted into the container). Empty
        gives the method's folder: a method that ships no model says itself what it needs.
    flag : str
        Of the parameter, for messages.

    Raises
    ------
    NucsegError
        `USAGE`, with the names of the shipped models.
    """
    shipped = shipped_models(method_dir)
    if not value:
        return method_dir
    if value in shipped:
        return method_dir / "weights" / value
    hint = f"name a shipped model ({', '.join(shipped) or 'there is none'}) or a folder that holds one"
    path = Path(value)
    if not path.exists():
        raise NucsegError(f"{flag}: {value!r} is neither a shipped model nor a folder or file", hint, USAGE)
    if path.is_dir() and not any(path.iterdir()):
        raise NucsegError(f"{flag}: the folder {value!r} is empty", hint, USAGE)
    return path.absolute()


def read_model(folder: Path, method: str) -> Model:
    """Read and check ``model.json``; the weights stay on the disk.

    Raises
    ------
    NucsegError
        `USAGE` when it isn't there, can't be read, or is of another method.
    """
    path = folder / DESCRIPTION
    hint = f"name a folder that holds {DESCRIPTION} and {WEIGHTS}"
    try:
        info = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NucsegError(f"the model folder {folder} has no {DESCRIPTION}", hint, USAGE) from None
    except NotADirectoryError:
        raise NucsegError(f"{folder} is a file of no format that {method} reads", hint, USAGE) from None
    except (OSError, ValueError) as error:
        raise NucsegError(f"{path} can't be read: {error}", hint, USAGE) from None
    missing = [key for key in REQUIRED if not (isinstance(info, dict) and key in info)]
    if missing:
        raise NucsegError(f"{path} lacks {', '.join(missing)}", hint, USAGE)
    if info["method"] != method:
        cause = f"the model in {folder} is for {info['method']}, not for {method}"
        raise NucsegError(cause, "name another model", USAGE)
    return Model(info["name"], folder, info)


def load_weights(model: Model) -> dict[str, np.ndarray]:
    """The weights by name, after their hash was found right.

    Raises
    ------
    NucsegError
        `USAGE` when the file is missing or isn't the one that ``model.json`` describes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = model.path / WEIGHTS
    hint = "copy the model folder again from where it came"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NucsegError(f"{path} can't be read: {error.strerror}", hint, USAGE) from None
    if hashlib.sha256(content).hexdigest() != model.info["sha256"]:
        raise NucsegError(f"{path} is damaged: its SHA-256 is not the one in {DESCRIPTION}", hint, USAGE)
    try:
        return {key: array.copy() for key, array in load(content).items()}
    except SafetensorError as error:
        raise NucsegError(f"{path} is no safetensors file: {error}", hint, USAGE) from None


def read_checkpoint(file: Path, hint: str, *, mmap: bool = False) -> Any:
    """What a file of torch's holds, without running code that it might hold.

    Raises
    ------
    NucsegError
        `USAGE`, with this hint, when it can't be read.
    """
    import torch

    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except (OSError, EOFError, LookupError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no torch checkpoint, or a damaged one"
    except pickle.UnpicklingError as error:
        code = "unsupported global" in str(error).lower()
        why = "it holds more than weights" if code else "no torch checkpoint, or a damaged one"
    raise NucsegError(f"{file} can't be read: {why}", hint, USAGE)


def fingerprint(model: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """Name and SHA-256 of a model, and what it decides by, for the run record.

    A model of an upstream format declares no hash: it gets that of its files' names and contents.
    """
    from nucseg.formats import content_sha256

    digest = info.get("sha256")
    if not digest:
        whole = hashlib.sha256()
        for path in sorted(path for path in (model.iterdir() if model.is_dir() else [model]) if path.is_file()):
            whole.update(f"{path.name}\0{content_sha256(path)}\0".encode(errors="replace"))
        digest = whole.hexdigest()
    decides = {key: info[key] for key in ("thresholds", "input") if key in info}
    return {"name": str(info.get("name", model.name)), "sha256": str(digest), **decides}


def write_model(folder: Path, info: Mapping[str, Any], weights: Mapping[str, Any]) -> Model:
    """Write a model folder; a reader sees a whole model or none.

    Parameters
    ----------
    folder : pathlib.Path
        Made when it isn't there.
    info : mapping
        Contents of ``model.json`` but `version` and `sha256`, which are added.
    weights : mapping of str to array
        A torch state dict on the CPU, or numpy arrays.

    Returns
    -------
    Model
    """
    import numpy as np
    from safetensors.numpy import save

    from nucseg.atomic import atomic_path

    content = save({key: np.asarray(array, order="C") for key, array in weights.items()})
    described = {**info, "version": __version__, "sha256": hashlib.sha256(content).hexdigest()}
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / WEIGHTS) as part:
        part.write_bytes(content)
    # Last, because it holds the hash: new weights beside an old description are refused, not used.
    with atomic_path(folder / DESCRIPTION) as part:
        # A name of a pair need not be valid Unicode; backslashes are JSON's escape, too.
        part.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", "utf-8", "backslashreplace")
    return Model(described["name"], folder, described)
