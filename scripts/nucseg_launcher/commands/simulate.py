"""``nucseg simulate``: synthetic volumes of nuclei with exact labels."""

import argparse
from pathlib import Path
from typing import Any

from nucseg.errors import ENVIRONMENT, USAGE, NucsegError
from nucseg.progress import say

DESCRIPTION = """\
Make fluorescence volumes of nuclei as a microscope would show them, with exact labels: to train, to test, to learn.

OUT/images and OUT/labels get the volumes and their labels, under the same names: OUT is what `nucseg train` takes.
A seed gives the same bytes on every machine. Presets: embryo, monolayer, tissue, plant, dim."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "simulate",
        help="make synthetic volumes of nuclei with exact labels",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("preset", metavar="PRESET", help="what is shown, and how hard it is")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the volumes; made if it is not there")
    parser.add_argument("-n", metavar="N", type=int, default=1, dest="number", help="number of volumes (default: 1)")
    parser.add_argument(
        "--seed", metavar="SEED", type=int, default=0, help="of the first volume; the next has one more"
    )
    parser.add_argument("--shape", metavar="Z,Y,X", help="voxels along Z, Y and X (default: the preset's)")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Write the volumes that are not there yet."""
    try:
        from nucseg.folders import prepare_output
        from nucseg.formats import write_labels, write_volume
        from nucseg.simulation import simulate
        from nucseg_launcher.checks.preflight import output_folder
    except ImportError as error:
        cause = f"simulating needs the package {error.name}, which is not installed here"
        raise NucsegError(cause, f"pip install {error.name}", ENVIRONMENT) from None
    if args.number < 1:
        raise NucsegError(f"-n {args.number} asks for no volume", "-n 1, or more", USAGE)
    shape = _parse_shape(args.shape) if args.shape else None
    output = output_folder(args.output)
    images, labels = output / "images", output / "labels"
    for seed in range(args.seed, args.seed + args.number):
        name = f"{args.preset}_{seed:04}.tif"
        if (images / name).exists() and (labels / name).exists():
            say(f"{name} is there already")
            continue
        volume, truth = simulate(args.preset, seed, shape)
        for folder in (images, labels):
            prepare_output(folder)
        write_labels(labels / name, truth, volume.voxel_size)
        write_volume(images / name, volume.data, volume.voxel_size)
        say(f"{name}: {truth.max()} nuclei in {' x '.join(map(str, volume.shape))} voxels")
    say(f"images  {images}\nlabels  {labels}")
    return 0


def _parse_shape(text: str) -> tuple[int, int, int]:
    try:
        z, y, x = (int(number) for number in text.split(","))
    except ValueError:
        raise NucsegError(f"--shape {text} is no shape", "three numbers, such as --shape 32,128,128", USAGE) from None
    return z, y, x
