"""What a method is: the protocols that images/<name>/method.py implements, and how it is found."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nucseg.errors import ENVIRONMENT, USAGE, NucsegError

if TYPE_CHECKING:
    import numpy as np

    from nucseg.labels import Segmented
    from nucseg.params import CommonParams
    from nucseg.training.job import TrainingJob
    from nucseg.volume import Volume

Report = Callable[[float, str], None]
"""Receives the fraction done (of this image, or of the training) and a short text."""


@dataclass(frozen=True)
class Resources:
    """What segmenting one volume takes, for schedulers: enough for one of 100 million voxels.

    Attributes
    ----------
    cores : int
    memory_gb : int
        Main memory in units of 1024**3 bytes.
    minutes : int
        On these cores without a GPU, or with one where `gpu` says so.
    gpu : bool
        Whether it is too slow without a GPU.
    """

    cores: int = 4
    memory_gb: int = 16
    minutes: int = 30
    gpu: bool = False


class Segmenter(Protocol):
    """A loaded model, ready for many volumes.

    Attributes
    ----------
    info : dict
        The contents of its ``model.json`` (`nucseg.models`), or the same made from a converted folder.
        `nucseg.models.fingerprint` of it goes into the run record.
    """

    @property
    def info(self) -> dict[str, Any]:
        """See above."""
        ...

    def segment(self, volume: Volume, params: Any, progress: Report) -> np.ndarray | Segmented:
        """Label image of the volume's shape, any integer type, 0 for background; or it with columns for the table.

        The volume is not of one intensity throughout.

        Raises
        ------
        NucsegError
            When this volume can't be segmented; the others still are.
        """
        ...


class Method(Protocol):
    """The object `METHOD` of images/<name>/method.py.

    The module is imported for ``--help``: torch, numpy and the like are imported inside its
    functions, never at its top.

    Attributes
    ----------
    name : str
        The folder's name.
    title, description : str
        For people: "StarDist 3D", and a paragraph.
    citation : str
        One line with the DOI.
    params : type
        Frozen dataclass that inherits from `CommonParams`, with a string `model` (a shipped model's
        name by default).
    train_params : type or None
        Frozen dataclass of `parameter` fields: the flags of ``train``; None where the method has no `train`.
    resources : Resources
        What a scheduler is asked for.
    """

    name: str
    title: str
    description: str
    citation: str
    params: type[CommonParams]
    train_params: type[Any] | None
    resources: Resources

    def load(self, model: Path, params: Any, device: str) -> Segmenter:
        """Load a model folder (ours, or an upstream format) on ``cpu`` or ``cuda``.

        Raises
        ------
        NucsegError
            `USAGE` when the folder holds no model of this method.
        """
        ...

    def train(self, job: TrainingJob) -> None:
        """Train on the job's pairs and write a model folder (`nucseg.training.teach`).

        Raises
        ------
        NucsegError
            `USAGE` when the model to start from is not one of this method.
        """
        ...


def training_params(method: Method) -> type[Any]:
    """The `train_params` of a method.

    Raises
    ------
    NucsegError
        `USAGE` for one that is not trained here.
    """
    if method.train_params is None:
        cause = f"{method.title} is used with its published weights and is not trained here"
        raise NucsegError(cause, "train another method; its card says whether it is trained here", USAGE)
    return method.train_params


def root_folder() -> Path:
    """The folder that holds ``images``: `NUCSEG_ROOT`, else the repository that this file lies in."""
    named = os.environ.get("NUCSEG_ROOT")
    return Path(named).absolute() if named else Path(__file__).resolve().parents[2]


def method_folder(name: str) -> Path:
    """Folder of a method, with its ``weights``."""
    return root_folder() / "images" / name


def list_methods(root: Path | None = None) -> list[str]:
    """Names of all methods: the folders of ``images`` that have a ``method.py``."""
    return sorted(path.parent.name for path in ((root or root_folder()) / "images").glob("*/method.py"))


def load_method(name: str) -> Method:
    """Import a method.

    Raises
    ------
    NucsegError
        `ENVIRONMENT` when there is no such method.
    """
    root = root_folder()
    if name not in list_methods(root):
        known = ", ".join(list_methods(root)) or "none"
        raise NucsegError(f"there is no method {name!r} in {root / 'images'}", f"one of: {known}", ENVIRONMENT)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    method: Method = importlib.import_module(f"images.{name}.method").METHOD
    return method
