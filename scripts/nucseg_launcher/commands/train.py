"""``nucseg train``: train a model of one's own."""

import argparse
import os
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.progress import say
from nucseg_launcher.catalogue import get_method
from nucseg_launcher.commands.run import add_run_options
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.settings import check_settings_of_training, choose_model, parse_memory, split_settings

DESCRIPTION = """\
Train a method on images of your own and their labels.

DATA holds the folders images and labels, whose files have the same names; images and labels that the training
is only checked by can lie in val_images and val_labels. With --gt, DATA is the folder of images itself.
OUT/model gets the model; use it with: nucseg run METHOD IMAGES RESULTS --model OUT/model"""

SHORT = {
    "from": "fine-tune this model (a folder, or the name of a shipped one) instead of starting anew",
    "steps": "number of training steps",
    "epochs": "epochs of 100 steps, instead of steps",
    "minutes": "stop after so many minutes",
    "seed": "of everything random in the run",
}
"""Training parameters that have a flag of their own."""


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "train",
        help="train a model on your own labelled images",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("method", metavar="METHOD", help="a method, as `nucseg list` shows them")
    parser.add_argument("input", metavar="DATA", type=Path, help="folder with images and labels; it is not written to")
    parser.add_argument("output", metavar="OUT", type=Path, help="folder for the model and the logs")
    parser.add_argument("--gt", metavar="LABELS", type=Path, help="folder of the labels, when DATA holds the images")
    parser.add_argument("--val", metavar="IMAGES", type=Path, help="folder of other images to check the training by")
    parser.add_argument("--val-gt", metavar="LABELS", type=Path, help="folder of their labels")
    for name, meaning in SHORT.items():
        parser.add_argument(f"--{name}", metavar=name.upper(), dest=f"short_{name}", help=meaning)
    add_run_options(
        parser, settings="set a training parameter, for example patch_size=48; `nucseg info METHOD` lists them"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a training that was interrupted")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Check, train, record, and say where the model is."""
    from nucseg.folders import check_apart, find_ground_truth, find_images, prepare_output
    from nucseg_launcher import launch
    from nucseg_launcher.checks import preflight
    from nucseg_launcher.engines import choose_engine
    from nucseg_launcher.engines.base import Job
    from nucseg_launcher.lock import locked

    method = get_method(args.method)
    short = [f"{name}={value}" for name in SHORT if (value := getattr(args, f"short_{name}")) is not None]
    settings = split_settings([*args.settings, *short])
    model = choose_model(method, settings.pop("from", None), settings, "from")
    check_settings_of_training(method, settings)
    memory = parse_memory(args.memory) if args.memory else None
    in_dir, gt_dir, validation = _folders(args)
    folder = MethodFolder(preflight.output_folder(args.output))
    check_apart((in_dir, gt_dir, model, *(validation or ())), (folder.path,))
    preflight.check_names((in_dir, gt_dir, model, folder.path, *(validation or ())))
    for images, labels in ((in_dir, gt_dir), *([validation] if validation else [])):
        found, _ = find_images(images)
        preflight.check_names(found)
        find_ground_truth(labels, found)
    if folder.model.is_dir() and any(folder.model.iterdir()) and not args.resume:
        raise NucsegError(
            f"{folder.path} already holds a model, or a part of one",
            "--resume to go on with it, or another folder",
            USAGE,
        )
    engine, note = choose_engine(args.engine, [method])
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
        validation=validation,
    )
    launch.judge([preflight.disk_space([], folder.path), *launch.problems(engine, job)], only_tell=args.dry_run)
    if args.dry_run:
        print(launch.script(engine, job))
        return 0
    prepare_output(folder.path)
    with locked(folder.path):
        return _train(engine, job)


def _folders(args: argparse.Namespace) -> tuple[Path, Path, tuple[Path, Path] | None]:
    """Images and labels to learn from, and to check by, as the user named them or as DATA holds them."""
    from nucseg_launcher.checks.preflight import existing_folder

    data = existing_folder("the data folder", args.input)
    if bool(args.val) != bool(args.val_gt):
        raise NucsegError("--val and --val-gt go together", "--val IMAGES --val-gt LABELS", USAGE)
    given = (args.val, args.val_gt) if args.val else None
    if args.gt:
        images, labels = data, existing_folder("the folder of labels", args.gt)
    else:
        images, labels = data / "images", data / "labels"
        missing = [folder for folder in (images, labels) if not folder.is_dir()]
        if missing:
            hint = f"make {' and '.join(map(str, missing))}, or name the folder of labels: --gt LABELS"
            what = " and ".join(folder.name for folder in missing)
            raise NucsegError(f"{data} holds no folder{'s' * (len(missing) > 1)} {what}", hint, USAGE)
        if given is None and (data / "val_images").is_dir():
            given = (data / "val_images", data / "val_labels")
    if given is None:
        return images, labels, None
    names = ("the folder of validation images", "the folder of validation labels")
    first, second = (existing_folder(name, folder) for name, folder in zip(names, given, strict=True))
    return images, labels, (first, second)


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
        _name_model(job)
        if result.failure:
            title = f"training {job.method.name}: {status['status']}"
            show_failure(title, result.failure.cause, result.failure.hint, job.folder.stderr)
        else:
            say(f"\n{job.method.name}: trained in {duration(result.seconds)}\n  model  {job.folder.model}")
    return result.exit_code


def _name_model(job: Any) -> None:
    """Call a model after OUT: methods call it after its folder, whose name is always the same."""
    from nucseg.models import DESCRIPTION
    from nucseg.record import read_json
    from nucseg_launcher.record import write_json

    path = job.folder.model / DESCRIPTION
    described = read_json(path)
    if described.get("name") == job.folder.model.name:
        write_json(path, {**described, "name": job.folder.path.name})
