"""``nucseg submit``: segment a folder of images on a cluster."""

import argparse
from pathlib import Path
from typing import Any

from nucseg_launcher.commands.run import add_ground_truth, add_settings
from nucseg_launcher.layout import OutFolder

DESCRIPTION = """\
Segment the images of the folder IN on a cluster: one Slurm job per method, an array with a task per image, each with
the method's container under Apptainer. Nothing has to stay open: Slurm does the work, `nucseg status OUT` tells how far
it is, and OUT gets the same files as from `nucseg run`.

IN, OUT, and the container's file (`nucseg sif METHOD`) must lie where the cluster's nodes see them."""

EXAMPLES = """\
examples:
  nucseg submit stardist3d my_images my_results
  nucseg submit stardist3d,unet3d my_images my_results --partition gpu --gres gpu:1 --account my_lab
  nucseg submit stardist3d my_images my_results --dry-run           print the batch script, submit nothing
  nucseg submit stardist3d my_images my_results --resume            submit what failed or is missing, and only that
  nucseg status my_results

exit code: 0 submitted, or nothing left to do; 2 something in the command is wrong; 3 there is no Slurm here, or it
refuses the job."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "submit",
        help="segment a folder of images on a cluster (Slurm)",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("methods", metavar="METHOD[,METHOD...]", help="methods, as `nucseg list` shows them")
    parser.add_argument("input", metavar="IN", type=Path, help="folder with the images, or one image; not changed")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the results; made if it is not there")
    add_ground_truth(parser)
    add_settings(parser, "set a parameter of all methods, or METHOD.NAME=VALUE of one")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="cuda asks Slurm for a GPU; auto (default) does so for methods that are slow without one",
    )
    parser.add_argument(
        "--resume", action="store_true", help="submit what is missing: neither done, nor queued, nor running"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, print the script, submit nothing")
    slurm = parser.add_argument_group("what Slurm is asked for; without these, the method's own needs")
    slurm.add_argument("--partition", default="", metavar="NAME", help="partition (queue)")
    slurm.add_argument("--account", default="", metavar="NAME", help="who pays")
    slurm.add_argument(
        "--time", default="", metavar="T", help="most time of a task: minutes, or days-hours:minutes:seconds"
    )
    slurm.add_argument("--mem", default="", metavar="SIZE", help="memory of a task, for example 16G")
    slurm.add_argument("--cpus", metavar="N", type=_positive, default=0, help="processor cores of a task")
    slurm.add_argument("--gres", default="", metavar="LIST", help="further resources of a task, for example gpu:1")
    slurm.add_argument(
        "--array-size",
        metavar="N",
        type=_positive,
        default=0,
        help="at most N tasks, each with its share of the images, one after the other (default: one image each)",
    )
    slurm.add_argument(
        "--at-once", metavar="N", type=_positive, default=0, help="at most N tasks at the same time (default: no limit)"
    )
    slurm.add_argument(
        "--sbatch",
        metavar="OPTION",
        action="append",
        default=[],
        help="any other option of sbatch, for example --sbatch=--qos=long (may be given several times)",
    )
    parser.set_defaults(execute=execute)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def execute(args: argparse.Namespace) -> int:
    """Check, write the scripts, submit them, and say under which numbers."""
    from nucseg_launcher import launch
    from nucseg_launcher.catalogue import get_methods
    from nucseg_launcher.checks.links import outside_links
    from nucseg_launcher.checks.preflight import input_images, output_folder, truth_folder
    from nucseg_launcher.segmentation import Order, draft, ordered
    from nucseg_launcher.settings import settings_of_methods
    from nucseg_launcher.slurm.script import Wishes
    from nucseg_launcher.slurm.submit import submit, text_of

    methods = get_methods(args.methods)
    settings = settings_of_methods(args.settings, methods)
    in_dir, only = images = input_images(args.input)
    gt_dir = truth_folder(args.gt, images)
    out = OutFolder(output_folder(args.output))
    wishes = Wishes(
        time=args.time,
        memory=args.mem,
        cores=args.cpus,
        gres=args.gres,
        partition=args.partition,
        account=args.account,
        at_once=args.at_once,
        more=tuple(args.sbatch),
    )
    jobs = []
    for method in methods:
        order = Order(method, in_dir, out, only, gt_dir, None, settings[method.name], args.device, resume=args.resume)
        jobs.append(draft(ordered(order, f"--set {method.name}.model")))
        launch.judge(list(outside_links(jobs[-1])), only_tell=args.dry_run)
    for job in jobs:
        if args.dry_run:
            print(text_of(job, wishes, args.array_size), end="")
        else:
            submit(out, job, wishes, args.array_size)
    return 0
