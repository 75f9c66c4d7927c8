"""``nucseg compare``: several methods on the same images, side by side."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg.errors import USAGE, NucsegError
from nucseg.progress import say
from nucseg_launcher.catalogue import get_methods
from nucseg_launcher.commands.run import add_ground_truth, add_run_options
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.settings import parse_memory, settings_of_methods
from nucseg_launcher.signals import is_interruption

if TYPE_CHECKING:
    from nucseg_launcher.engines.base import Engine, Job
    from nucseg_launcher.segmentation import Order

DESCRIPTION = """\
Run several methods on the images of the folder IN, or on the one image IN, as far as that is not done yet, and compare
their results: with ground truth (--gt) which one is best, and how sure that is; without it, where they agree and where
not.
Results that OUT holds are kept: a method goes on with the model and the settings that its results were made with.

With OUT alone, compare what lies there, for example from a cluster, and run nothing.
OUT gets a report to look at (report.html), and the same as data (comparison.json)."""

EXAMPLES = """\
examples:
  nucseg compare stardist3d,unet3d,deepsynth my_images my_results --gt my_labels
  nucseg compare my_results
  nucseg compare my_results --also Imaris=imaris_labels       with label images that another program has made
  nucseg compare stardist3d,unet3d IN OUT --set nucleus_diameter=8 --set stardist3d.prob_thresh=0.6

exit code: 0 all images done by all methods; 1 some image or method failed, the others are compared; 2 something in
the command is wrong; 3 no method could be run on this machine; 4 none is done, and a container failed; 130
interrupted."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "compare",
        help="run several methods and compare them",
        usage="nucseg compare [METHOD,METHOD,... IN] OUT [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", metavar="METHODS IN OUT", nargs="+", help="as in the examples")
    add_ground_truth(parser)
    parser.add_argument(
        "--also",
        metavar="NAME=FOLDER",
        action="append",
        default=[],
        help="label images made by another program, one per image, of the image's name (may be given several times)",
    )
    add_run_options(parser, settings="set a parameter of all methods, or METHOD.NAME=VALUE of one")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Run what is missing, compare, and say where the report is."""
    from nucseg_launcher.checks.preflight import check_names, existing_folder, input_images, output_folder, truth_folder
    from nucseg_launcher.comparison.overview import write_overview
    from nucseg_launcher.slurm.collect import collect_all

    if len(args.words) not in (1, 3):
        raise NucsegError(
            f"compare takes METHODS IN OUT, or OUT alone, not {len(args.words)} words",
            "nucseg compare stardist3d,unet3d IN OUT",
            USAGE,
        )
    out = OutFolder(output_folder(Path(args.words[-1])))
    also = _folders(args.also)
    images = input_images(Path(args.words[1])) if len(args.words) == 3 else None
    gt_dir = truth_folder(args.gt, images)
    check_names((gt_dir, *also.values()))
    code = 0
    if images:
        code = _run_all(args, images, out, gt_dir)
        if args.dry_run or is_interruption(code):
            return code
    else:
        existing_folder("the output folder", out.path)
        if unused := _options_of_a_run(args):
            raise NucsegError(
                f"nothing is run when OUT alone is named, so {unused} would do nothing",
                "nucseg compare METHODS IN OUT",
                USAGE,
            )
        collect_all(out)
    content = write_overview(out, gt_dir, also)
    _tell(content)
    return code


def _options_of_a_run(args: argparse.Namespace) -> str:
    """Those that were given and count only where something is run."""
    given = {
        "--set": args.settings,
        "--device": args.device != "auto",
        "--engine": args.engine,
        "--memory": args.memory,
        "--dry-run": args.dry_run,
    }
    return ", ".join(option for option, value in given.items() if value)


def _run_all(
    args: argparse.Namespace, images: tuple[Path, tuple[str, ...]], out: OutFolder, gt_dir: Path | None
) -> int:
    """Run each method, whatever comes of the others.

    Returns
    -------
    int
        0 when all is done; 1 when something failed and something is done; the highest code when nothing is.
    """
    from nucseg_launcher import launch, record
    from nucseg_launcher.box import show_failure
    from nucseg_launcher.engines import choose_engine
    from nucseg_launcher.segmentation import Order, ordered, segment

    methods = get_methods(args.words[0])
    settings = settings_of_methods(args.settings, methods)
    in_dir, only = images
    engine, note = choose_engine(args.engine, methods)
    if note:
        say(note)
    memory = parse_memory(args.memory) if args.memory else None
    orders = [
        ordered(
            Order(method, in_dir, out, only, gt_dir, None, settings[method.name], args.device, memory, resume=True),
            f"--set {method.name}.model",
        )
        for method in methods
    ]
    prepared = [_job_or_obstacle(order, engine, args.dry_run) for order in orders]
    codes = []
    for order, job in zip(orders, prepared, strict=True):
        try:
            if isinstance(job, NucsegError):
                raise job
            if args.dry_run:
                print(launch.script(engine, job))
                continue
            codes.append(segment(engine, job, out))
        except NucsegError as error:
            show_failure(f"{order.method.name} cannot be run", error.cause, error.hint)
            if not args.dry_run:
                # A folder that cannot be written is why it was not run.
                with contextlib.suppress(OSError, NucsegError):
                    record.write_not_run(out.method(order.method.name), order.method.name, error)
            codes.append(error.exit_code)
        if is_interruption(codes[-1]):
            return codes[-1]
    some_done = any(code in (0, 1) for code in codes)
    return max(codes, default=0) if not some_done else min(1, max(codes))


def _job_or_obstacle(order: "Order", engine: "Engine", dry_run: bool) -> "Job | NucsegError":
    """The prepared job, or why this machine can't do it; what is wrong in the command is raised."""
    from nucseg_launcher.segmentation import prepare

    try:
        return prepare(order, engine, only_tell=dry_run)
    except NucsegError as error:
        if error.exit_code == USAGE:
            raise
        return error


def _folders(items: Sequence[str]) -> dict[str, Path]:
    from nucseg_launcher.checks.preflight import existing_folder

    folders = {}
    for item in items:
        name, equals, folder = item.partition("=")
        if not equals or not name or not folder:
            raise NucsegError(f"--also {item} names no folder", "--also NAME=FOLDER", USAGE)
        if name in folders:
            raise NucsegError(f"--also {name} is given twice", "another name", USAGE)
        folders[name] = existing_folder(f"--also {name}:", Path(folder))
    return folders


def _tell(content: dict[str, Any]) -> None:
    """The answer to the question that the command is."""
    ranking, agreement = content["ranking"], content["agreement"]
    if ranking:
        _table(f"against ground truth: {ranking['by']}", ranking["rows"])
        say(ranking["text"])
    elif agreement:
        _table(f"agreement with the other methods: F1 at IoU {agreement['threshold']:g}", agreement["rows"])
        if agreement["recommendation"]:
            say(agreement["recommendation"]["text"])
        else:
            say("Two methods cannot outvote each other: a third one, or ground truth, would tell which to trust.")
    for region in content["disagreements"][:1]:
        counts = ", ".join(f"{name} {count}" for name, count in region["counts"].items())
        z, y, x = (round(c) for c in region["centre"])
        say(f"They differ most in {region['volume']} around z={z}, y={y}, x={x} (nuclei there: {counts}).")
    sys.stdout.flush()


def _table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    width = max(len(row["method"]) for row in rows)
    say(f"\n{title}")
    for row in rows:
        interval = f"95% {row['low']:.3f} to {row['high']:.3f}"
        say(f"  {row['method']:{width}}  {row['mean']:.3f}  ({interval}; first with {row['best_probability']:.0%})")
