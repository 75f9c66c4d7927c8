"""``nucseg run``: segment the images of a folder with one method."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.progress import say
from nucseg_launcher.catalogue import get_method
from nucseg_launcher.engines import ENGINES
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.settings import parse_memory, split_settings
from nucseg_launcher.signals import is_interruption

DESCRIPTION = """\
Segment every TIFF, OME-TIFF and OME-Zarr image of the folder IN, or the one image IN, with one method.

For each image, OUT gets a label image of the same name (each nucleus has its own number), a table with
one line per nucleus, and pictures with the outlines. The images themselves are never changed."""

EXAMPLES = """\
examples:
  nucseg run stardist3d my_images my_results
  nucseg run stardist3d my_images/embryo.tif my_results            try one image
  nucseg run stardist3d my_images my_results --gt my_labels        compare with labels drawn by hand
  nucseg run stardist3d my_images my_results --set nucleus_diameter=8.5
  nucseg run stardist3d my_images my_results --resume              go on after an interruption

exit code: 0 all images done; 1 some image failed, the others are done; 2 something in the command is wrong;
3 this machine cannot do it; 4 the container failed; 130 interrupted."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "run",
        help="segment a folder of images",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("method", metavar="METHOD", help="a method, as `nucseg list` shows them")
    parser.add_argument("input", metavar="IN", type=Path, help="folder with the images, or one image; not changed")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the results; made if it is not there")
    add_ground_truth(parser)
    parser.add_argument(
        "--model", metavar="MODEL", help="a trained model (a folder or file), or the name of a shipped one"
    )
    add_run_options(parser, settings="set a parameter; `nucseg info METHOD` lists them")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an earlier run, with its settings: images that it finished are not done again",
    )
    parser.set_defaults(execute=execute)


def add_ground_truth(parser: argparse.ArgumentParser) -> None:
    """``--gt`` of every command that segments."""
    parser.add_argument(
        "--gt", metavar="GT", type=Path, help="true labels, same file names: a folder, or a file where IN is one image"
    )


def add_settings(parser: argparse.ArgumentParser, meaning: str) -> None:
    """``--set``, and with it ``--NAME VALUE`` (`nucseg_launcher.settings.spelled_out`)."""
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="settings",
        help=f"{meaning} (may be given several times); --NAME VALUE means the same",
    )


def add_run_options(parser: argparse.ArgumentParser, settings: str) -> None:
    """The options of every command that runs a method."""
    add_settings(parser, settings)
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto (default) takes the GPU where there is one; cuda is an error where there is none",
    )
    parser.add_argument(
        "--engine",
        choices=tuple(ENGINES),
        help="docker, podman and apptainer run the method's container; process runs the same program without a "
        "container, from this installation. Default: docker where it answers, else podman or apptainer where they have "
        "the image, else process",
    )
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory that the container may use, for example 16g (default: no limit)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything and print the command, but run nothing"
    )


def execute(args: argparse.Namespace) -> int:
    """Check, run, record, and say where the results are."""
    from nucseg_launcher import launch
    from nucseg_launcher.checks import preflight
    from nucseg_launcher.comparison.overview import write_overview
    from nucseg_launcher.engines import choose_engine
    from nucseg_launcher.segmentation import Order, ordered, prepare, segment

    if "," in args.method:
        several = shlex.join(["nucseg", "compare", args.method, str(args.input), str(args.output)])
        raise NucsegError(f"run takes one method, not {args.method}", f"for several: {several}", USAGE)
    method = get_method(args.method)
    settings = split_settings([*args.settings, *([f"model={args.model}"] if args.model else [])])
    in_dir, only = images = preflight.input_images(args.input)
    order = Order(
        method=method,
        in_dir=in_dir,
        only=only,
        out=OutFolder(preflight.output_folder(args.output)),
        gt_dir=preflight.truth_folder(args.gt, images),
        settings=settings,
        device=args.device,
        memory=parse_memory(args.memory) if args.memory else None,
        resume=args.resume,
    )
    order = ordered(order, "--model")
    engine, note = choose_engine(args.engine, [method])
    if note:
        say(note)
    job = prepare(order, engine, only_tell=args.dry_run)
    if args.dry_run:
        print(launch.script(engine, job))
        return 0
    code = segment(engine, job, order.out)
    if not is_interruption(code):
        write_overview(order.out)
    return code
