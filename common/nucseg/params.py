"""A method's parameters: one dataclass gives its flags, its descriptor inputs and its documentation.

Real annotations are needed here (argparse-dataclass reads them), so this module and every
Params class must not use ``from __future__ import annotations``.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import Field, asdict, dataclass, field, fields, make_dataclass
from typing import Any, NoReturn, TypeVar

import argparse_dataclass

from nucseg.errors import USAGE, NucsegError

P = TypeVar("P")

BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""The words of a Boolean, in any case."""

DEFAULT_WORDS = ("", "None")
"""What OMERO sends for a field that the user has cleared."""

_METAVARS: dict[Any, str] = {bool: "true|false", int: "N", float: "X", str: "TEXT"}


def parameter(
    default: bool | int | float | str,
    name: str,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Declare one field of a Params dataclass.

    Parameters
    ----------
    default : bool, int, float or str
        Every parameter has one; its type is the parameter's type.
    name, help : str
        Short title and full description, shown by ``--help`` and by BIAFLOWS, Cytomine and OMERO.
    minimum, maximum : float, optional
        Inclusive bounds of a number.
    choices : tuple of str, optional
        The allowed values of a string.
    """
    metadata = {"name": name, "help": help, "minimum": minimum, "maximum": maximum, "choices": choices}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ImageParams:
    """How an image is read."""

    nuc_channel: int = parameter(
        -1,
        "Nuclear channel",
        "Channel that shows the nuclei, counted from 0; -1 when the image has only one.",
        minimum=-1,
    )
    time_point: int = parameter(
        -1, "Time point", "Time point to segment, counted from 0; -1 when the image has only one.", minimum=-1
    )
    voxel_size_z: float = parameter(
        0.0, "Voxel size Z (µm)", "Distance of slices in µm; 0 takes the file's own.", minimum=0.0
    )
    voxel_size_y: float = parameter(
        0.0, "Voxel size Y (µm)", "Pixel height in µm; 0 takes the file's own.", minimum=0.0
    )
    voxel_size_x: float = parameter(0.0, "Voxel size X (µm)", "Pixel width in µm; 0 takes the file's own.", minimum=0.0)


@dataclass(frozen=True)
class CommonParams(ImageParams):
    """What every method understands. A method's own Params inherits from it and adds `model`."""

    nucleus_diameter: float = parameter(
        0.0,
        "Nucleus diameter (µm)",
        "Typical diameter of a nucleus in µm (in voxels when the voxel size is unknown); 0 measures it in the image.",
        minimum=0.0,
    )
    use_gpu: bool = parameter(True, "Use a GPU", "Use the GPU when one is visible, else the CPU.")
    exact: bool = parameter(False, "Exact arithmetic", "Compute in float32 throughout: slower, the reference result.")


def parameters(params_type: type) -> tuple[Field[Any], ...]:
    """The fields of a Params dataclass, each checked to be declared with `parameter`.

    Raises
    ------
    TypeError
        When a field can't be a flag: no plain type, or a default that isn't of that type.
    """
    for item in fields(params_type):
        where = f"{params_type.__name__}.{item.name}"
        if item.type not in _METAVARS:
            raise TypeError(f"{where}: the type must be bool, int, float or str, not {item.type!r}")
        if type(item.default) is not item.type or "help" not in item.metadata:
            raise TypeError(f"{where}: declare it with parameter() and a default of its type")
    return fields(params_type)


def parse_value(item: Field[Any], text: str) -> Any:
    """Read one value as a user, OMERO or Cytomine writes it.

    Parameters
    ----------
    item : dataclasses.Field
        One of `parameters`.
    text : str
        ``""`` and ``None`` mean the default; Booleans are true/false/1/0/yes/no in any case.

    Returns
    -------
    bool, int, float or str

    Raises
    ------
    ValueError
        With the reason, when the text isn't a value of the parameter.
    """
    if text in DEFAULT_WORDS:
        return item.default
    if item.type is bool:
        if text.lower() not in BOOLEANS:
            raise ValueError(f"{text!r} is neither true nor false")
        return BOOLEANS[text.lower()]
    if item.type is str:
        choices = item.metadata["choices"]
        if choices and text not in choices:
            raise ValueError(f"{text!r} is not {range_text(item)}")
        return text
    return _parse_number(item, text)


def _parse_number(item: Field[Any], text: str) -> int | float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a finite number")
    if item.type is int and number != int(number):
        raise ValueError(f"{text!r} is not a whole number")
    low, high = item.metadata["minimum"], item.metadata["maximum"]
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{text} is out of range: {range_text(item)}")
    return int(number) if item.type is int else number


def range_text(item: Field[Any]) -> str:
    """The allowed values in words: ``0.0 to 1.0``, ``at least 0``, ``one of a, b``, or nothing when all are."""
    low, high, choices = (item.metadata[key] for key in ("minimum", "maximum", "choices"))
    if choices:
        return f"one of {', '.join(choices)}"
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return f"at most {high}" if high is not None else ""


def flags(params_type: type) -> list[str]:
    """The flag of every parameter, always ``--snake_case``."""
    return [flag(item) for item in parameters(params_type)]


def flag(item: Field[Any]) -> str:
    """The flag of one parameter: its name, without the underscore that keeps ``from_`` apart from Python's word."""
    return f"--{item.name.removesuffix('_')}"


class _Parser(argparse_dataclass.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise NucsegError(message.removeprefix("argument "), "--help lists every parameter with its range", USAGE)


def build_parser(params_type: type) -> argparse.ArgumentParser:
    """The argparse-dataclass parser of a Params class: one ``--snake_case VALUE`` flag per field.

    argparse-dataclass would name the flags ``--kebab-case`` and give a Boolean no value, so it is
    handed a stand-in class that says otherwise; house rule: nobody else imports it.
    """
    items = parameters(params_type)
    stand_ins = [(item.name, str, field(default=item.default, metadata=_flag(item))) for item in items]
    stand_in = make_dataclass("Flags", stand_ins)
    return _Parser(stand_in, prog="", usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False)


def _flag(item: Field[Any]) -> dict[str, Any]:
    def convert(text: str) -> Any:
        try:
            return parse_value(item, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    facts = [f"default {str(item.default).lower() if item.type is bool else item.default}"] * (item.default != "")
    facts += [range_text(item)] * bool(range_text(item))
    text = item.metadata["help"] + (f" [{'; '.join(facts)}]" if facts else "")
    return {
        "args": [flag(item)],
        "type": convert,
        "metavar": _METAVARS[item.type],
        "help": text.replace("%", "%%"),
    }


def parse_params(params_type: type[P], words: Sequence[str]) -> P:
    """Make a Params object from words of the form ``--id=value``.

    Raises
    ------
    NucsegError
        `USAGE`, with the flag, its value and what is allowed.
    """
    values = build_parser(params_type).parse_args(list(words))
    return params_type(**asdict(values))  # type: ignore[call-overload]


def help_text(params_type: type) -> str:
    """The parameters as ``--help`` shows them: flag, meaning, default and range."""
    return build_parser(params_type).format_help().split("\n", 1)[1]
