"""``nucseg consensus``: the nuclei that the majority of methods supports."""

import argparse
import sys
from pathlib import Path
from typing import Any

from nucseg.progress import say
from nucseg_launcher.layout import OutFolder

DESCRIPTION = """\
Write, for each image of an output folder, a label image of the nuclei that more than half of the methods have, and
a table that says of each nucleus how many methods support it, which ones, and how well they agree on its shape. The
report shows the outlines too, and whatever runs in the folder later renews them."""

EXAMPLES = """\
example:
  nucseg compare stardist3d,unet3d,deepsynth my_images my_results
  nucseg consensus my_results

Two objects are the same nucleus when their IoU is 0.5 or more; a voxel belongs to a nucleus where more than half of the
methods that have the nucleus say so."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "consensus",
        help="label images of what the majority of methods supports",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="OUT", type=Path, help="output folder in which two methods or more have run")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Write the label images and tables, and say where they are."""
    from nucseg_launcher.checks.preflight import existing_folder
    from nucseg_launcher.comparison.agreed import write_consensus
    from nucseg_launcher.report import write_report

    out = OutFolder(existing_folder("the output folder", args.output))
    counts, warnings = write_consensus(out)
    for text in warnings:
        say(f"warning: {text}", sys.stderr)
    for image, (nuclei, disputed) in counts.items():
        say(f"{image}: {nuclei} nuclei of the majority, {disputed} that only a minority has")
    say(f"  labels   {out.consensus_labels}\n  support  {out.consensus_support}")
    if out.comparison.exists():
        say(f"  report   {write_report(out)}")
    return 0
