"""``nucseg export-crate``: the results of an output folder as an RO-Crate, to publish or to archive."""

import argparse
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.progress import say
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.units import size_text

DESCRIPTION = """\
Pack an output folder into a zip file that describes itself (RO-Crate 1.1, profile Process Run Crate): label images,
tables, report and records, with the software, parameters, weights and images that made them. The images themselves are
described by name and checksum, and packed only with --with-images."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "export-crate",
        help="pack results as an RO-Crate",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="OUT", type=Path, help="output folder of a run or comparison")
    parser.add_argument("crate", metavar="CRATE.zip", type=Path, nargs="?", help="default: OUT.crate.zip beside OUT")
    parser.add_argument("--with-images", action="store_true", help="pack the images too")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Write the crate and say where it is."""
    from nucseg_launcher.checks.preflight import existing_folder, home
    from nucseg_launcher.crate import write_crate

    out = OutFolder(existing_folder("the output folder", args.output))
    target = home(args.crate) if args.crate else out.path.with_name(f"{out.path.name}.crate.zip")
    if target.suffix != ".zip":
        raise NucsegError(f"{target} is no zip file", f"{target}.zip", USAGE)
    write_crate(out, target.absolute(), with_images=args.with_images)
    say(f"  crate  {target} ({size_text(target.stat().st_size)})")
    return 0
