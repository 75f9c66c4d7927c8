"""Published StarDist 3D folders (config.json, weights_*.h5, thresholds.json) read without TensorFlow.

The h5 file names its layers as Keras does: the layers that upstream names ("features",
"down_level_0_no_1", ...) by these names, the others "conv3d", "conv3d_1", ... by a counter that
starts anywhere and runs in the order in which the layers were made. The file lists them in another
order (the projection of a residual block before the block's last convolution), so only the counter
tells which is which.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from images.stardist3d.config import StarDistConfig
from nucseg.errors import USAGE, NucsegError
from nucseg.formats import content_sha256
from nucseg.models import DESCRIPTION

DEFAULT_THRESHOLDS = {"prob": 0.5, "nms": 0.4}

Layers = dict[str, dict[str, np.ndarray]]
StateDict = dict[str, np.ndarray]


def is_published_folder(path: Path) -> bool:
    """Whether the folder looks like one that upstream's StarDist3D wrote, or a part of one."""
    return not (path / DESCRIPTION).exists() and ((path / "config.json").is_file() or _weights_files(path) != [])


def load_folder(path: Path) -> tuple[StarDistConfig, StateDict, dict[str, Any]]:
    """Read a folder that upstream's StarDist3D wrote.

    Parameters
    ----------
    path : pathlib.Path
        Holds config.json, at least one ``*.h5`` (a name with "best" is preferred, then the newest)
        and perhaps thresholds.json.

    Returns
    -------
    config : StarDistConfig
    state_dict : dict of str to numpy.ndarray
        Weights under the names of `images.stardist3d.network.StarDist3D`.
    info : dict
        What a ``model.json`` holds: name, method, config, thresholds (0.5 and 0.4 where the folder
        has none), input (upstream's percentiles) and the source file with its SHA-256.

    Raises
    ------
    NucsegError
        `USAGE`: a file is missing or can't be read, or the weights don't fit the configuration.
    """
    files = _weights_files(path)
    if not (path / "config.json").is_file() or not files:
        missing = "config.json" if files else "weights (*.h5)"
        raise _unreadable(f"the model folder {path} has no {missing}")
    described = _read_json(path / "config.json")
    config = StarDistConfig.from_dict(described)
    weights = files[0]
    state_dict = state_dict_from_layers(config, read_layers(weights))
    info = {
        "name": path.name,
        "method": "stardist3d",
        "config": config.to_dict(),
        "thresholds": read_thresholds(path / "thresholds.json"),
        "input": {"percentiles": [1, 99.8]},
        "source": {"file": weights.name, "sha256": content_sha256(weights)},
    }
    return config, state_dict, info


def read_thresholds(path: Path) -> dict[str, float]:
    """Thresholds of a thresholds.json; upstream's defaults for what is missing or outside of (0, 1)."""
    found = _read_json(path) if path.is_file() else {}
    return {
        key: float(found[key]) if isinstance(found.get(key), int | float) and 0 < found[key] < 1 else default
        for key, default in DEFAULT_THRESHOLDS.items()
    }


def read_layers(path: Path) -> Layers:
    """Weights of a Keras h5 file: layer name -> {"kernel", "bias", "gamma", ...} -> array.

    Keras 2 and 3, weights alone or a whole model.

    Raises
    ------
    NucsegError
        The file is no such file.
    """
    import h5py

    def text(name: str | bytes) -> str:
        return name.decode() if isinstance(name, bytes) else str(name)

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if "layer_names" not in root.attrs:
                raise _unreadable(f"{path} is no weights file in the layout that stardist writes")
            return {
                layer: {
                    text(name).split("/")[-1].split(":")[0]: np.asarray(group[name], np.float32)
                    for name in group.attrs.get("weight_names", ())
                }
                for layer, group in root.items()
                if len(group.attrs.get("weight_names", ()))
            }
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise _unreadable(f"{path} can't be read as Keras weights ({error})") from None


def state_dict_from_layers(config: StarDistConfig, layers: Mapping[str, Mapping[str, np.ndarray]]) -> StateDict:
    """Bring Keras' layers to the names and the axis order of the torch network.

    Raises
    ------
    NucsegError
        A layer is missing, is left over, or has another shape than `config` says.
    """
    convs, norms = _in_order(layers, "conv3d"), _in_order(layers, "batch_normalization")
    taken: list[str] = []
    state: StateDict = {}
    for prefix, layer in _convolutions(config):
        name = layer or next(convs, "conv3d")
        if name in taken or "kernel" not in layers.get(name, {}):
            raise _misfit(f"no layer '{name}', or too few of its kind")
        taken.append(name)
        # (z, y, x, in, out) in TensorFlow, (out, in, z, y, x) in torch
        state[f"{prefix}.weight"] = np.ascontiguousarray(layers[name]["kernel"].transpose(4, 3, 0, 1, 2))
        if "bias" in layers[name]:
            state[f"{prefix}.bias"] = layers[name]["bias"]
    for prefix in _normalisations(config):
        name = next(norms, "")
        if not name:
            raise _misfit("too few batch normalisations")
        taken.append(name)
        for ours, theirs in (
            ("weight", "gamma"),
            ("bias", "beta"),
            ("running_mean", "moving_mean"),
            ("running_var", "moving_variance"),
        ):
            if theirs not in layers[name]:
                raise _misfit(f"no '{theirs}' in layer '{name}'")
            state[f"{prefix}.{ours}"] = layers[name][theirs]
        state[f"{prefix}.num_batches_tracked"] = np.asarray(0, np.int64)
    left = sorted(set(layers) - set(taken))
    if left:
        raise _misfit(f"layers left over: {', '.join(left)}")
    _check_shapes(config, state)
    return state


def _convolutions(config: StarDistConfig) -> Iterator[tuple[str, str | None]]:
    """Torch prefix and Keras layer of each convolution; None is the next one without a name."""
    if config.backbone == "unet":
        convs, depth, prefix = config.unet_n_conv_per_depth, config.unet_n_depth, config.unet_prefix
        # Keras counts the last convolution of a stage that narrows as one more than its place
        narrowing = [*range(convs - 1), convs]
        for stage in range(len(config.pools)):
            for i in range(convs):
                yield f"backbone.entry.{stage}.{i}.conv", None
        for n in range(depth):
            for i in range(convs):
                yield f"backbone.unet.down.{n}.{i}.conv", f"{prefix}down_level_{n}_no_{i}"
        for i in range(convs):
            yield f"backbone.unet.middle.{i}.conv", f"{prefix}middle_{narrowing[i]}"
        for stage, n in enumerate(reversed(range(depth))):
            for i in range(convs):
                yield f"backbone.unet.up.{stage}.{i}.conv", f"{prefix}up_level_{n}_no_{narrowing[i]}"
    else:
        yield "backbone.entry.0", None
        yield "backbone.entry.1", None
        for block in range(config.resnet_n_blocks):
            for i in range(config.resnet_n_conv_per_block):
                yield f"backbone.blocks.{block}.convs.{i}", None
            if block < len(config.pools):
                yield f"backbone.blocks.{block}.projection", None
    heads = ["prob", "dist"] + (["prob_class"] if config.n_classes is not None else [])
    if config.net_conv_after:
        yield "features.conv", "features"
        if config.n_classes is not None:
            yield "features_class.conv", "features_class"
    for head in heads:
        yield head, head


def _normalisations(config: StarDistConfig) -> Iterator[str]:
    """Torch prefix of each batch normalisation, in the order in which upstream makes them."""
    if config.backbone == "unet" and config.unet_batch_norm:
        for part, stages in (("down", config.unet_n_depth), ("middle", 0), ("up", config.unet_n_depth)):
            for stage in [f"{part}.{n}" for n in range(stages)] or ([part] if part == "middle" else []):
                for i in range(config.unet_n_conv_per_depth):
                    yield f"backbone.unet.{stage}.{i}.norm"
    elif config.backbone == "resnet" and config.resnet_batch_norm:
        for block in range(config.resnet_n_blocks):
            for i in range(config.resnet_n_conv_per_block):
                yield f"backbone.blocks.{block}.norms.{i}"


def _in_order(layers: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Names of the unnamed layers of a kind, in the order in which they were made."""
    found = [(int(m[1] or 0), name) for name in layers if (m := re.fullmatch(rf"{kind}(?:_(\d+))?", name))]
    return iter([name for _, name in sorted(found)])


def _check_shapes(config: StarDistConfig, state: StateDict) -> None:
    import torch

    from images.stardist3d.network import StarDist3D

    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in StarDist3D(config).state_dict().items()}
    found = {key: value.shape for key, value in state.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise _misfit(f"{key} is {found.get(key, 'missing')}, not {expected.get(key, 'there')}")


def _weights_files(path: Path) -> list[Path]:
    """Weights in the folder, the one to take first."""
    files = [f for suffix in ("*.h5", "*.hdf5") for f in path.glob(suffix) if not f.name.startswith(".")]
    return sorted(files, key=lambda f: ("best" not in f.name, -f.stat().st_mtime, f.name))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(f"{path} can't be read ({error})") from None
    if not isinstance(content, dict):
        raise _unreadable(f"{path} holds no JSON object")
    return content


def _unreadable(cause: str) -> NucsegError:
    hint = "give the folder as stardist wrote it, with config.json and weights_best.h5"
    return NucsegError(cause, hint, USAGE)


def _misfit(what: str) -> NucsegError:
    return NucsegError(
        f"the weights don't fit config.json: {what}", "take both files from the same StarDist 3D model", USAGE
    )
