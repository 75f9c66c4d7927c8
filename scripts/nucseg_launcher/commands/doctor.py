"""``nucseg doctor``: what works on this machine, and what to do about what doesn't."""

import argparse
from pathlib import Path
from typing import Any

from nucseg.errors import ENVIRONMENT
from nucseg_launcher.units import count_text

_COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "doctor",
        help="check this machine",
        description="Check the container engine, the images, the GPU (also inside a container), disk, memory and user. "
        "Each finding says what to do about it. Exit code 0 without errors, else 3.",
    )
    parser.add_argument(
        "--disk",
        metavar="FOLDER",
        type=Path,
        default=Path(),
        help="where results will go (default: the present folder)",
    )
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Print the findings as they come."""
    from rich.console import Console
    from rich.text import Text

    from nucseg_launcher.doctor import examine

    console = Console(highlight=False)
    severities = []
    for finding in examine(args.disk):
        severities.append(finding.severity)
        label = (f"{finding.severity:8}", _COLOURS[finding.severity])
        console.print(Text.assemble(label, (f"{finding.topic:12}", "bold"), finding.message), soft_wrap=True)
        if finding.remedy:
            console.print(Text(f"{'':20}-> {finding.remedy}"), soft_wrap=True)
    errors, warnings = severities.count("error"), severities.count("warning")
    console.print(f"\n{count_text(errors, 'error')}, {count_text(warnings, 'warning')}")
    return ENVIRONMENT if errors else 0
