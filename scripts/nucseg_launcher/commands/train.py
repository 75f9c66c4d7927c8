"""``nucseg train``: train a model of one's own."""

import argparse
import os
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg_launcher.catalogue import get_method
from nucseg_launcher.commands.run import add_run_options
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.output import say
from nucseg_launcher.settings import parse_memory, split_settings

DESCRIPTION = """\
Train a method on images of your own and their labels (files of the same names in IN and GT).

OUT/model gets the model; use it with: nucseg run METHOD IMAGES RESULTS --model OUT/model"""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "train",
        help="train a model on your own labelled images",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("method", metavar="METHOD", help="a method, as `nucseg list` shows them")
    parser.add_argument("input", metavar="IN", type=Path, help="folder with the images; it is not written to")
    parser.add_argument("gt", metavar="GT", type=Path, help="folder with their labels; it is not written to")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the model and the logs")
    add_run_options(parser, settings="set a training parameter, for example steps=5000 (may be given several times)")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was interrupted")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Check, train, record, and say where the model is."""
    from nucseg.folders import check_apart, find_ground_truth, find_images, prepare_output
    from nucseg_launcher import launch
    from nucseg_launcher.checks import preflight
    from nucseg_launcher.engines import choose_engine
    from nucseg_launcher.engines.base import Job
    from nucseg_launcher.execution import locked

    method = get_method(args.method)
    settings = split_settings(args.settings)
    model = launch.choose_model(method, args.model or settings.pop("model", None), settings)
    launch.check_settings_of_training(settings)
    memory = parse_memory(args.memory) if args.memory else None
    in_dir = preflight.existing_folder("the input folder", args.input)
    gt_dir = preflight.existing_folder("the folder of labels", args.gt)
    folder = MethodFolder(args.output.expanduser().resolve())
    check_apart((in_dir, gt_dir, model), (folder.path,))
    images, _ = find_images(in_dir)
    find_ground_truth(gt_dir, images)
    if folder.model.is_dir() and any(folder.model.iterdir()) and not args.resume:
        raise NucsegError(
            f"{folder.path} already holds a model, or a part of one",
            "--resume to go on with it, or another folder",
            USAGE,
        )
    engine, note = choose_engine(args.engine)
    if note:
        say(note)
    job = Job(
        id=os.urandom(4).hex(),
        method=method,
        folder=folder,
        out=folder.path,
        in_dir=in_dir,
        gt_dir=gt_dir,
        model=model,
        params=settings,
        device=args.device,
        memory=memory,
        resume=args.resume,
        train=True,
    )
    launch.judge([preflight.disk_space([], folder.path), *launch.problems(engine, job)], only_tell=args.dry_run)
    if args.dry_run:
        print(launch.script(engine, job))
        return 0
    prepare_output(folder.path)
    with locked(folder.path):
        return _train(engine, job)


def _train(engine: Any, job: Any) -> int:
    from nucseg.progress import duration
    from nucseg_launcher import launch, record
    from nucseg_launcher.box import show_failure
    from nucseg_launcher.signals import held

    started, identity = record.now(), engine.identity(job)
    result = launch.launch(engine, job)
    with held(forget=True):
        status = launch.status_of(engine, job, result, started)
        record.write_json(
            job.folder.status, {**status, **launch.facts_of(job, status, identity), "host": record.host()}
        )
        if result.failure:
            title = f"training {job.method.name}: {status['status']}"
            show_failure(title, result.failure.cause, result.failure.hint, job.folder.stderr)
        else:
            say(f"\n{job.method.name}: trained in {duration(result.seconds)}\n  model  {job.folder.model}")
    return result.exit_code
