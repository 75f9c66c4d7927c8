"""The checkpoint of a training run: written whole or not at all, and gone on from by the same training only."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from nucseg.atomic import atomic_path
from nucseg.errors import USAGE, NucsegError

CHECKPOINT = "checkpoint.pt"

MAY_CHANGE = ("steps", "epochs", "minutes", "patience", "validate_every")
"""Settings of how long a training goes on and how often it is looked at."""


def write_checkpoint(path: Path, state: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write the state of a run and the settings that it was begun with.

    Parameters
    ----------
    path : pathlib.Path
    state : mapping
        Tensors and numbers.
    settings : mapping
        Numbers, strings, and lists and mappings of them.
    """
    with atomic_path(path) as part:
        torch.save({**state, "settings": dict(settings)}, part)


def read_checkpoint(path: Path, settings: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The state of a run that these settings go on with.

    Raises
    ------
    NucsegError
        `USAGE`: the file is damaged, or of a run with other settings than these, `MAY_CHANGE` apart.
    """
    try:
        state = dict(torch.load(path, map_location=device, weights_only=True))
        begun = state["settings"]
    except torch.OutOfMemoryError:
        raise
    except (EOFError, LookupError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError):
        raise NucsegError(
            f"{path} can't be gone on from: it is damaged, or of another version",
            "remove it and train anew, or name another output folder",
            USAGE,
        ) from None
    before, now = dict(_flat(begun)), dict(_flat(settings))
    for name in now | before:
        if before.get(name) != now.get(name):
            raise NucsegError(
                f"{path} is of another training: {name} was {before.get(name)!r} and is now {now.get(name)!r}",
                "--resume with what the training was begun with, or name another output folder",
                USAGE,
            )
    return state


def _flat(settings: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The single values of nested settings, each with its path; without those that may change."""
    if isinstance(settings, Mapping):
        parts = [(key.rstrip("_"), value) for key, value in settings.items() if key not in MAY_CHANGE]
    elif isinstance(settings, list | tuple):
        parts = [(str(number), value) for number, value in enumerate(settings, 1)]
    else:
        yield name, settings
        return
    for key, value in parts:
        yield from _flat(value, f"{name} {key}".lstrip())
