"""``nucseg list``: the methods."""

import argparse
import textwrap
from typing import Any

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.catalogue import list_methods


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "list", help="the methods there are", description="List the methods, with what each of them is good for."
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Print one paragraph per method."""
    methods = list_methods()
    if not methods:
        raise NucsegError("no method is installed", "set NUCSEG_ROOT to the nucseg repository", ENVIRONMENT)
    width = max(len(method.name) for method in methods) + 2
    for method in methods:
        yours = " (weights: yours)" if method.needs_weights else ""
        lines = textwrap.wrap(method.summary + yours, 100 - width) or [""]
        print(f"{method.name:{width}}{lines[0]}")
        for line in lines[1:]:
            print(" " * width + line)
    print("\nnucseg info METHOD tells more; nucseg run METHOD IN OUT runs one.")
    return 0
