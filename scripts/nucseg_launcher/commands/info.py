"""``nucseg info``: one method and its parameters."""

import argparse
import textwrap
from collections.abc import Iterable
from dataclasses import Field
from typing import Any

from nucseg.params import flag, range_text
from nucseg_launcher.catalogue import get_method
from nucseg_launcher.settings import training_parameters


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "info",
        help="one method and its parameters",
        description="Describe a method and every parameter that --set takes, of `nucseg run` and of `nucseg train`.",
    )
    parser.add_argument("method", metavar="METHOD", help="its name, as `nucseg list` shows it")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Print the method's description and parameters."""
    method = get_method(args.method)
    print(f"{method.name}  (container image {method.image})\n")
    print(textwrap.fill(method.description, 100))
    print("\nParameters, for --set name=value:\n")
    _print(method.parameters)
    both = {parameter.name for parameter in method.parameters}
    training = training_parameters(method)
    if training:
        print("\nFor training (nucseg train), beside those of the image above:\n")
        _print([parameter for parameter in training if parameter.name not in both])
    weights = " --model path/to/the_weights" if method.needs_weights else ""
    print(f"\nExample: nucseg run {method.name} my_images my_results{weights}")
    return 0


def _print(parameters: Iterable[Field[Any]]) -> None:
    for parameter in parameters:
        name = flag(parameter)[2:]
        print(f"  {name}={_shown(parameter.default)}   {parameter.metadata['name']}{_range(parameter)}")
        print(textwrap.indent(textwrap.fill(parameter.metadata["help"], 92), "      "))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(parameter: Field[Any]) -> str:
    text = "true or false" if parameter.type is bool else range_text(parameter)
    return f" ({text})" if text else ""
