"""``nucseg run``: segment the images of a folder with one method."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg_launcher.catalogue import MethodEntry, get_method
from nucseg_launcher.engines import ENGINES
from nucseg_launcher.layout import MethodFolder, OutFolder
from nucseg_launcher.output import say
from nucseg_launcher.settings import check_settings, parse_memory, split_settings
from nucseg_launcher.units import count_text

DESCRIPTION = """\
Segment every TIFF, OME-TIFF and OME-Zarr image of the folder IN with one method.

For each image, OUT gets a label image of the same name (each nucleus has its own number), a table with
one line per nucleus, and pictures with the outlines. The images themselves are never changed."""

EXAMPLES = """\
examples:
  nucseg run stardist3d my_images my_results
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
    parser.add_argument("input", metavar="IN", type=Path, help="folder with the images; it is not written to")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the results; made if it is not there")
    parser.add_argument("--gt", metavar="GT", type=Path, help="folder with true labels, same file names: adds scores")
    parser.add_argument(
        "--model", metavar="MODEL", help="a trained model (a folder or file), or the name of a shipped one"
    )
    add_run_options(parser, settings="set a parameter; `nucseg info METHOD` lists them (may be given several times)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an earlier run: images that it finished with the same settings are not done again",
    )
    parser.set_defaults(execute=execute)


def add_run_options(parser: argparse.ArgumentParser, settings: str) -> None:
    """The options of every command that runs a method."""
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], dest="settings", help=settings)
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
        "container, from this installation. Default: docker where it answers, else process",
    )
    parser.add_argument(
        "--memory", metavar="SIZE", help="memory that the container may use, for example 16g (default: no limit)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything and print the command, but run nothing"
    )


def execute(args: argparse.Namespace) -> int:
    """Check, run, record, and say where the results are."""
    from nucseg.folders import check_apart, find_ground_truth, find_images, prepare_output
    from nucseg.formats import label_name
    from nucseg_launcher import launch
    from nucseg_launcher.checks import preflight
    from nucseg_launcher.engines import choose_engine
    from nucseg_launcher.engines.base import Job
    from nucseg_launcher.execution import locked

    method = get_method(args.method)
    settings = split_settings(args.settings)
    model = launch.choose_model(method, args.model or settings.pop("model", None), settings)
    check_settings(method, settings)
    memory = parse_memory(args.memory) if args.memory else None
    in_dir = preflight.existing_folder("the input folder", args.input)
    gt_dir = preflight.existing_folder("the ground truth folder", args.gt) if args.gt else None
    out = OutFolder(args.output.expanduser().resolve())
    folder = out.method(method.name)
    check_apart((in_dir, gt_dir, model), (out.path,))
    images, _ = find_images(in_dir)
    if gt_dir:
        find_ground_truth(gt_dir, images)
    check_earlier(folder, [label_name(image) for image in images], args.resume)

    engine, note = choose_engine(args.engine)
    if note:
        say(note)
    job = Job(
        id=os.urandom(4).hex(),
        method=method,
        folder=folder,
        out=out.path,
        in_dir=in_dir,
        gt_dir=gt_dir,
        model=model,
        params=settings,
        device=args.device,
        memory=memory,
        resume=args.resume,
    )
    launch.judge([preflight.disk_space(images, out.path), *launch.problems(engine, job)], only_tell=args.dry_run)
    if args.dry_run:
        print(launch.script(engine, job))
        return 0
    prepare_output(folder.path)
    with locked(folder.path):
        return _run(engine, job, out, [image.name for image in images])


def check_earlier(folder: MethodFolder, names: Sequence[str], resume: bool) -> None:
    """Refuse to mix the results of two runs; `names` are those of the label images that this one makes.

    A user expects neither that finished labels are overwritten nor that they are kept silently, so
    a folder that holds some needs ``--resume``. A run that came to nothing leaves nothing to keep.

    Raises
    ------
    NucsegError
        USAGE.
    """
    from nucseg.formats import list_images

    there = {path.name for path in list_images(folder.labels)} if folder.labels.is_dir() else set()
    if there and not resume:
        raise NucsegError(
            f"{folder.path} already holds labels of an earlier run ({count_text(len(there), 'image')})",
            "--resume to do only what is missing, or another output folder",
            USAGE,
        )
    strange = sorted(there - set(names))
    if strange:
        raise NucsegError(
            f"{folder.path} holds labels of images that are not in the input folder: {', '.join(strange[:3])}",
            "another output folder, or the input folder of the earlier run",
            USAGE,
        )


def _run(engine: Any, job: Any, out: OutFolder, images: list[str]) -> int:
    from nucseg_launcher import launch, record
    from nucseg_launcher.ending import failure_of, tell
    from nucseg_launcher.execution import locked
    from nucseg_launcher.signals import held

    started, identity = record.now(), engine.identity(job)
    result = launch.launch(engine, job)
    with held(forget=True):
        entries = record.image_entries(job.folder, images, result.errors)
        result = replace(result, failure=failure_of(result, entries))
        status = {**launch.status_of(engine, job, result, started), "images": entries}
        facts = {**launch.facts_of(job, status, identity), "citation": citation_of(job.method, job.folder)}
        try:
            with locked(out.path, wait=True):
                record.write_run(out, job.method.name, facts)
                record.write_summaries(out, status)
                record.write_citation(out)
            record.write_json(job.folder.status, status)
        except NucsegError as error:
            # A full disk, most likely: what there is to tell is told all the same.
            result = replace(result, failure=result.failure or error, exit_code=result.exit_code or error.exit_code)
        tell(out, job.folder, status, result)
    return result.exit_code


def citation_of(method: MethodEntry, folder: MethodFolder) -> str:
    """What the method's authors want cited: from the run record, else from the method itself where it is here."""
    from nucseg.method import load_method
    from nucseg_launcher.record import read_json

    recorded = read_json(folder.container_record).get("citation")
    if recorded:
        return str(recorded)
    try:
        return load_method(method.name).citation
    except (NucsegError, ImportError):
        return ""
