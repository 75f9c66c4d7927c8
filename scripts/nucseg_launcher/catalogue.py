"""The methods: the folders of ``images/`` that have a descriptor.

The root is ``$NUCSEG_ROOT``, else the repository that this package lies in (an editable install).
Without either, the copies of the descriptors that came with the installed package are enough for
everything but `build` and the process engine.
"""

import json
import os
import sysconfig
from dataclasses import Field, dataclass, fields, make_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from nucseg import __version__
from nucseg.errors import ENVIRONMENT, USAGE, NucsegError
from nucseg.params import parameter


@dataclass(frozen=True)
class MethodEntry:
    """A method as the launcher knows it: its descriptor, and its folder where there is one."""

    name: str
    descriptor: dict[str, Any]
    root: Path | None

    @property
    def description(self) -> str:
        """What the method is and is good for."""
        return str(self.descriptor.get("description", ""))

    @property
    def summary(self) -> str:
        """First sentence of the description."""
        return self.description.split(". ")[0].rstrip(".")

    @property
    def image(self) -> str:
        """Name and tag of the container image of this version."""
        return f"{self.descriptor['container-image']['image']}:v{__version__}"

    @property
    def parameters(self) -> tuple[Field[Any], ...]:
        """What ``--set`` understands, as fields of the Params that the descriptor was made from.

        So the launcher reads values by the container's own rule, `nucseg.params.parse_value`.
        The inputs that a server fills in are not among them.
        """
        inputs = [entry for entry in self.descriptor["inputs"] if not entry.get("set-by-server")]
        return fields(make_dataclass("Params", [(entry["id"], *_declaration(entry)) for entry in inputs]))

    @property
    def needs_weights(self) -> bool:
        """Whether it comes without a model, so that the user must bring one."""
        return any(parameter.name == "model" and not parameter.default for parameter in self.parameters)


def _declaration(entry: dict[str, Any]) -> tuple[type, Any]:
    default = entry["default-value"]
    types: dict[str, type] = {"Boolean": bool, "String": str}
    # The schema has one kind of number; the decimal point of the default tells which is meant.
    kind = types.get(entry["type"], type(default))
    declared = parameter(
        kind(default),
        entry.get("name", entry["id"]),
        entry.get("description", ""),
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        choices=tuple(entry["value-choices"]) if entry.get("value-choices") else None,
    )
    return kind, declared


def find_root() -> Path | None:
    """Folder that holds ``images/`` and ``descriptors/``, or None.

    Raises
    ------
    NucsegError
        ``NUCSEG_ROOT`` is set and does not hold them.
    """
    value = os.environ.get("NUCSEG_ROOT")
    if value:
        root = Path(value).resolve()
        if not (root / "images").is_dir() or not (root / "descriptors").is_dir():
            raise NucsegError(
                f"NUCSEG_ROOT is {value}, which has no folders images/ and descriptors/",
                "set it to the nucseg repository, or unset it",
                ENVIRONMENT,
            )
        return root
    root = Path(__file__).resolve().parents[2]
    return root if (root / "images").is_dir() and (root / "descriptors").is_dir() else None


def require_root(purpose: str) -> Path:
    """`find_root`, where there must be one. `purpose` begins the message: "Building an image"."""
    root = find_root()
    if root is None:
        raise NucsegError(
            f"{purpose} needs the nucseg repository, and only the installed package is here",
            "clone the repository and set NUCSEG_ROOT to it, or run `make setup` in it",
            ENVIRONMENT,
        )
    return root


def list_methods() -> list[MethodEntry]:
    """All methods, sorted by name."""
    root = find_root()
    folder = root / "descriptors" if root else Path(sysconfig.get_path("data")) / "share" / "nucseg" / "descriptors"
    entries = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        if path.name.endswith(".schema.json") or (root and not (root / "images" / path.stem).is_dir()):
            continue
        try:
            entries.append(MethodEntry(path.stem, json.loads(path.read_text(encoding="utf-8")), root))
        except json.JSONDecodeError as error:
            raise NucsegError(
                f"{path} is not valid JSON ({error})", "restore it with `make descriptors`", ENVIRONMENT
            ) from error
    return entries


def get_methods(text: str) -> list[MethodEntry]:
    """Several methods, their names divided by commas.

    Raises
    ------
    NucsegError
        One is unknown, or named twice, or none is named.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise NucsegError("no method is named", f"one of {', '.join(entry.name for entry in list_methods())}", USAGE)
    if len(set(names)) < len(names):
        raise NucsegError(f"a method is named twice: {text}", "name each one once", USAGE)
    return [get_method(name) for name in names]


def get_method(name: str) -> MethodEntry:
    """The method called `name`.

    Raises
    ------
    NucsegError
        There is none; the hint names the nearest one.
    """
    methods = {entry.name: entry for entry in list_methods()}
    if name in methods:
        return methods[name]
    if not methods:
        raise NucsegError("no method is installed", "set NUCSEG_ROOT to the nucseg repository", ENVIRONMENT)
    near = get_close_matches(name.lower(), methods, 1)
    raise NucsegError(
        f"there is no method '{name}'",
        f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(methods)}",
        USAGE,
    )
