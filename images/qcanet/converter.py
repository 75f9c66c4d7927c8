"""Published QCANet weights (learned_nsn.npz, learned_ndn.npz) read without chainer.

Chainer names the links as upstream's class does: convolutions of the way down "c0", "c1", ...; on the
way up "dc0", "dc1", ..., of which every third is a transposed convolution and the last is the head;
"bn" and the convolution's name is the normalisation behind it. The axes are in torch's order already.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import content_sha256

NETWORKS = ("nsn", "ndn")


def is_published(path: Path) -> bool:
    """Whether this is a folder with both files of upstream."""
    return all(_candidates(path, net) for net in NETWORKS)


def load_published(path: Path) -> tuple[dict[str, Any], Mapping[str, np.ndarray], dict[str, Any]]:
    """Read a folder with the weights that upstream's chainer wrote.

    Parameters
    ----------
    path : pathlib.Path
        Holds learned_nsn.npz and learned_ndn.npz, or one ``*nsn*.npz`` and one ``*ndn*.npz``.

    Returns
    -------
    config : dict
        Arguments of `images.qcanet.network.QCANet`, sizes from the arrays' shapes.
    state : mapping of str to numpy.ndarray
        Weights under that network's names.
    info : dict
        What a ``model.json`` holds; `input` is upstream's scaling from minimum to maximum, in isotropic
        voxels, and `source` the files with their SHA-256.

    Raises
    ------
    NucsegError
        `USAGE`: a file is missing, ambiguous or can't be read, or isn't of such a network.
    """
    from images.qcanet.network import config_of_state

    files = {net: _file(path, net) for net in NETWORKS}
    state: dict[str, np.ndarray] = {}
    for net, file in files.items():
        state |= _renamed(net, file, _read(file))
    config: dict[str, Any] = {**config_of_state(state), "bn_mode": "patch"}
    _check_shapes(config, state, files)
    info = {
        "name": path.name,
        "method": "qcanet",
        "config": config,
        "thresholds": {"foreground": 0.5, "seed": 0.5},
        "input": {"percentiles": [0.0, 100.0], "isotropic": True},
        "licence": "unknown",
        "source": [{"file": file.name, "sha256": content_sha256(file)} for file in files.values()],
    }
    return config, state, info


def _candidates(path: Path, net: str) -> list[Path]:
    return sorted(file for file in path.glob(f"*{net}*.npz") if not file.name.startswith("."))


def _file(path: Path, net: str) -> Path:
    """The file of a network: upstream's name first."""
    files = _candidates(path, net)
    named = [file for file in files if file.name == f"learned_{net}.npz"] or files
    if not named:
        raise _unreadable(f"the model folder {path} has no learned_{net}.npz")
    if len(named) > 1:
        raise _unreadable(f"the model folder {path} has several *{net}*.npz: {', '.join(f.name for f in named)}")
    return named[0]


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            # chainer's count of batches is an integer, all else is in float32 whatever it was trained in
            return {key: np.asarray(file[key], np.int64 if key.endswith("/N") else np.float32) for key in file}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise _unreadable(f"{path} can't be read as chainer weights ({error})") from None


def _renamed(net: str, path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Bring chainer's arrays to the names of torch; none may be missing or left."""
    convolutions = sum(re.fullmatch(r"c\d+/W", key) is not None for key in arrays)
    if convolutions < 4:
        raise _misfit(path, f"has {convolutions} of the convolutions c0, c1, ..., and needs 4 or more")
    names = dict(_names(convolutions // 2 - 1))
    for what, keys in (("lacks", names.keys() - arrays.keys()), ("has unknown", arrays.keys() - names.keys())):
        if keys:
            raise _misfit(path, f"{what} {', '.join(sorted(keys)[:3])}")
    first = arrays["c0/W"].shape
    if len(first) != 5 or first[0] < 1 or first[-1] % 2 == 0:
        raise _misfit(path, f"has c0/W of shape {first}, not one of an odd 3D kernel")
    return {f"{net}.{ours}": arrays[theirs] for theirs, ours in names.items()}


def _names(levels: int) -> Iterator[tuple[str, str]]:
    """Chainer's and torch's name of each array of a network with that many poolings."""
    blocks = [(f"c{2 * n + i}", f"down.{n}.{i}") for n in range(levels + 1) for i in range(2)]
    blocks += [(f"dc{3 * n + 1 + i}", f"merge.{n}.{i}") for n in range(levels) for i in range(2)]
    bare = [(f"dc{3 * n}", f"up.{n}") for n in range(levels)] + [(f"dc{3 * levels}", "head")]
    for theirs, ours in [*bare, *((theirs, f"{ours}.conv") for theirs, ours in blocks)]:
        yield f"{theirs}/W", f"{ours}.weight"
        yield f"{theirs}/b", f"{ours}.bias"
    norm = {
        "gamma": "weight",
        "beta": "bias",
        "avg_mean": "running_mean",
        "avg_var": "running_var",
        "N": "num_batches_tracked",
    }
    for theirs, ours in blocks:
        for key, value in norm.items():
            yield f"bn{theirs}/{key}", f"{ours}.norm.{value}"


def _check_shapes(config: Mapping[str, Any], state: Mapping[str, np.ndarray], files: Mapping[str, Path]) -> None:
    import torch

    from images.qcanet.network import QCANet

    with torch.device("meta"):
        expected = QCANet(**config).state_dict()
    for key, value in expected.items():
        if state[key].shape != tuple(value.shape):
            shapes = f"an array ({key}) of shape {state[key].shape}, not {tuple(value.shape)}"
            raise _misfit(files[key.partition(".")[0]], f"has {shapes}")


def _unreadable(cause: str) -> NucsegError:
    return NucsegError(cause, "give a folder with upstream's learned_nsn.npz and learned_ndn.npz", USAGE)


def _misfit(path: Path, what: str) -> NucsegError:
    hint = "take learned_nsn.npz and learned_ndn.npz as QCANet's authors publish them"
    return NucsegError(f"{path} is not of a QCANet network: it {what}", hint, USAGE)
