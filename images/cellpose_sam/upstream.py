"""Upstream's modules, imported without torchvision.

They import it, but use it in training only, and its builds have to match torch's exactly. Where it isn't
installed, modules without contents stand in for it.
"""

import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any

MODULES = (
    "torchvision",
    "torchvision.ops",
    "torchvision.ops.boxes",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.transforms._functional_tensor",
)


class _Absent(ModuleType):
    """A module that anything can be imported from, and nothing be called of."""

    __path__: list[str] = []  # noqa: RUF012  (modules have it so)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def import_models() -> ModuleType:
    """The module ``cellpose.models``."""
    # It would say on standard error that a network is missing that is not offered here.
    logging.getLogger("cellpose").setLevel(logging.ERROR)
    absent = importlib.util.find_spec("torchvision") is None
    if absent:
        sys.modules.update({name: _Absent(name) for name in MODULES})
    try:
        from cellpose import models
    finally:
        # Others in this process are to see that it is absent.
        for name in MODULES if absent else ():
            del sys.modules[name]
    return models
