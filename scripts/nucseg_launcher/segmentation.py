"""One method on one folder of images: what `run`, `compare` and `rerun` do."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.progress import say
from nucseg.record import read_json
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.engines.base import Engine, Job
from nucseg_launcher.layout import MethodFolder, OutFolder
from nucseg_launcher.units import count_text


@dataclass(frozen=True)
class Order:
    """What the user wants of one method; all paths are absolute.

    Attributes
    ----------
    only : tuple of str
        Names of the images that are meant; empty for all of the folder.
    settings : dict
        Parameters as text, checked; a shipped model's name among them.
    memory : int or None
        Limit in bytes.
    """

    method: MethodEntry
    in_dir: Path
    out: OutFolder
    only: tuple[str, ...] = ()
    gt_dir: Path | None = None
    model: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    device: str = "auto"
    memory: int | None = None
    resume: bool = False


def prepare(order: Order, engine: Engine, *, only_tell: bool = False) -> Job:
    """Check everything that can be checked before anything is made or started on this machine.

    Parameters
    ----------
    only_tell : bool
        Tell of what this machine lacks instead of raising it.

    Raises
    ------
    NucsegError
        What stands against it.
    """
    from nucseg_launcher import launch

    job = draft(order, only_tell=only_tell)
    launch.judge(launch.problems(engine, job), only_tell=only_tell)
    return job


def draft(order: Order, *, only_tell: bool = False) -> Job:
    """`prepare` without the engine: check the folders, and what an earlier run has left in them."""
    from nucseg.folders import check_apart, chosen, find_ground_truth, find_images
    from nucseg.formats import label_name
    from nucseg_launcher import launch
    from nucseg_launcher.checks import preflight

    folder = order.out.method(order.method.name)
    check_apart((order.in_dir,), (order.out.path, folder.labels), within=bool(order.only))
    check_apart((order.gt_dir, order.model), (order.out.path,))
    everything, _ = find_images(order.in_dir)
    images = chosen(everything, order.only)
    preflight.check_names((order.in_dir, order.gt_dir, order.model, order.out.path, *images))
    if order.gt_dir:
        find_ground_truth(order.gt_dir, images)
    check_earlier(folder, [label_name(image) for image in everything], order.resume)
    job = Job(
        id=os.urandom(4).hex(),
        method=order.method,
        folder=folder,
        out=order.out.path,
        in_dir=order.in_dir,
        only=order.only,
        gt_dir=order.gt_dir,
        model=order.model,
        params=order.settings,
        device=order.device,
        memory=order.memory,
        resume=order.resume,
    )
    launch.judge([preflight.disk_space(images, order.out.path)], only_tell=only_tell)
    return job


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
            "another output folder, or --resume (of run and submit) to do only what is missing",
            USAGE,
        )
    strange = sorted(there - set(names))
    if strange:
        raise NucsegError(
            f"{folder.path} holds labels of images that are not in the input folder: {', '.join(strange[:3])}",
            "another output folder, or the input folder of the earlier run",
            USAGE,
        )


def ordered(order: Order, option: str) -> Order:
    """The order with its model found among its settings, and these checked; one that goes on is `as_before`.

    Parameters
    ----------
    order : Order
        Its settings are those of the command line; `model` may be among them.
    option : str
        The command's for another model, for the message.

    Raises
    ------
    NucsegError
        USAGE.
    """
    from nucseg_launcher.settings import check_settings, check_weights, choose_model

    settings = dict(order.settings)
    model = choose_model(order.method, settings.pop("model", None), settings)
    check_settings(order.method, settings)
    order = replace(order, model=model, settings=settings)
    if order.resume:
        order = as_before(order)
    check_weights(order.method, order.model, order.settings, option)
    return order


def as_before(order: Order) -> Order:
    """The order with the settings that the results in its folder were made with; unchanged where there are none.

    Where it names no ground truth, that of the results counts too, as long as it is there and has some of the images.

    With any other setting the container would do everything again, and what was finished would be gone.

    Raises
    ------
    NucsegError
        USAGE: a setting that the order names, the weights or nucseg's version are not those of the results.
    """
    from nucseg import __version__
    from nucseg.formats import list_images
    from nucseg.models import DESCRIPTION
    from nucseg.params import parse_value
    from nucseg_launcher.settings import choose_model

    method, folder = order.method, order.out.method(order.method.name)
    facts = read_json(order.out.run).get("methods", {}).get(method.name)
    has_labels = folder.labels.is_dir() and list_images(folder.labels)
    if not facts or not (has_labels or folder.submissions.exists()):
        return order
    before = {**facts["params"], **({"model": facts["model"]} if facts["model"] else {})}
    named = {**order.settings, **({"model": str(order.model)} if order.model else {})}
    compared = [
        (item.name, parse_value(item, before.get(item.name, "")), parse_value(item, named[item.name]))
        for item in method.parameters
        if item.name in named
    ]
    compared.append(("nucseg", read_json(folder.container_record).get("nucseg", __version__), __version__))
    settings = dict(before)
    model = choose_model(method, settings.pop("model", None), settings)
    weights = read_json(model / DESCRIPTION).get("sha256") if model else None
    if weights and facts.get("weights"):
        compared.append((f"{model}, weights", facts["weights"]["sha256"], weights))
    for what, earlier, now in compared:
        if earlier != now:
            raise NucsegError(
                f"{folder.path} holds results made with {what} {earlier}, not {now}",
                f"another output folder, or remove {folder.path} to have them made again",
                USAGE,
            )
    return replace(order, model=model, settings=settings, gt_dir=order.gt_dir or _truth_before(order, facts))


def _truth_before(order: Order, facts: Mapping[str, Any]) -> Path | None:
    from nucseg.folders import chosen, find_ground_truth, find_images
    from nucseg_launcher.checks.preflight import existing_folder

    if not facts["ground_truth"]:
        return None
    try:
        folder = existing_folder("the ground truth folder", Path(facts["ground_truth"]))
        find_ground_truth(folder, chosen(find_images(order.in_dir)[0], order.only))
    except NucsegError as error:
        say(f"note: without the scores of the earlier run: {error.cause}")
        return None
    return folder


def segment(engine: Engine, job: Job, out: OutFolder) -> int:
    """Run a prepared job, record it, and tell what came of it.

    Returns
    -------
    int
        The exit code: 0 all images done; 1 some image failed; 3 or 4 when it could not be run; 130 interrupted.
    """
    from nucseg.folders import prepare_output
    from nucseg_launcher.lock import locked

    if job.folder.submissions.exists():
        from nucseg_launcher.slurm.collect import take_over

        take_over(out, job.method.name)
    prepare_output(job.folder.path)
    with locked(job.folder.path):
        return _run(engine, job, out)


def images_of(job: Job) -> list[Path]:
    """The images that a job is about."""
    from nucseg.folders import chosen, find_images

    return chosen(find_images(job.in_dir)[0], job.only)


def _run(engine: Engine, job: Job, out: OutFolder) -> int:
    from nucseg_launcher import launch, record
    from nucseg_launcher.ending import failure_of, tell
    from nucseg_launcher.signals import held

    started, identity = record.now(), engine.identity(job)
    images = [image.name for image in images_of(job)]
    result = launch.launch(engine, job)
    with held(forget=True):
        entries = record.image_entries(job.folder, sorted([*images, *_others(job)]), result.errors)
        result = replace(result, failure=failure_of(result, entries))
        status = {**launch.status_of(engine, job, result, started), "images": entries}
        facts = {**launch.facts_of(job, status, identity), **record.outcome_facts(job.folder, entries)}
        try:
            record.write_records(out, facts, status)
        except NucsegError as error:
            # A full disk, most likely: what there is to tell is told all the same.
            result = replace(result, failure=result.failure or error, exit_code=result.exit_code or error.exit_code)
        tell(out, job.folder, status, result)
    return result.exit_code


def _others(job: Job) -> list[str]:
    """Images that runs of other single images have done with the same settings: they stay in the records."""
    recorded = read_json(job.folder.container_record).get("images", []) if job.only else []
    return [entry["file"] for entry in recorded if entry["file"] not in job.only]
