"""From a method and a folder of images to a job in Slurm's queue."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nucseg import __version__
from nucseg.errors import ENVIRONMENT, USAGE, NucsegError
from nucseg.folders import find_ground_truth, find_images, prepare_output
from nucseg.method import Resources, load_method
from nucseg.record import DONE
from nucseg_launcher import launch, record
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.engines.base import Job
from nucseg_launcher.execution import locked
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.output import say
from nucseg_launcher.signals import held
from nucseg_launcher.slurm import client
from nucseg_launcher.slurm.collect import forget_failures, join_records
from nucseg_launcher.slurm.script import SCRATCH, Wishes, script_text
from nucseg_launcher.slurm.submission import Submission, add_submission, divide, job_name, read_submissions
from nucseg_launcher.slurm.survey import label_file, survey
from nucseg_launcher.units import count_text


@dataclass(frozen=True)
class Wanted:
    """What the user wants of Slurm; None is the method's own need, or the cluster's default.

    Attributes
    ----------
    array_size : int or None
        Most tasks; None for one per image.
    """

    time: str | None = None
    memory: str | None = None
    cores: int | None = None
    gres: str | None = None
    partition: str | None = None
    account: str | None = None
    array_size: int | None = None
    at_once: int | None = None
    more: Sequence[str] = ()


def resources_of(method: MethodEntry) -> Resources:
    """What the method says that a volume takes; the usual where its code is not here."""
    try:
        return load_method(method.name).resources
    except (NucsegError, ImportError):
        return Resources()


def wishes_of(job: Job, wanted: Wanted, images_per_task: int) -> Wishes:
    """What Slurm is asked for: what the user wants, else what the method needs."""
    needs = resources_of(job.method)
    minutes = needs.minutes * images_per_task
    gres = wanted.gres or ("gpu:1" if job.device == "cuda" or (job.device == "auto" and needs.gpu) else None)
    return Wishes(
        time=wanted.time or f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:00",
        memory=wanted.memory or f"{needs.memory_gb}G",
        cores=wanted.cores or needs.cores,
        gres=gres,
        partition=wanted.partition,
        account=wanted.account,
        at_once=wanted.at_once,
        more=wanted.more,
    )


def text_of(job: Job, wanted: Wanted) -> str:
    """The script that `submit` would write for all images, also where there is no Slurm."""
    images = [image.name for image in readable_names(find_images(job.in_dir)[0])]
    try:
        most = client.largest_array()
    except NucsegError:
        most = client.USUAL_ARRAY
    return _script(job, wanted, images, most)[0]


def _script(job: Job, wanted: Wanted, images: Sequence[str], most: int) -> tuple[str, list[Sequence[str]], Wishes]:
    tasks = divide(images, min(wanted.array_size or len(images), most))
    wishes = wishes_of(job, wanted, len(tasks[0]))
    return script_text(job, _container_words(job, wishes), tasks, wishes), tasks, wishes


def _container_words(job: Job, wishes: Wishes) -> list[str]:
    from nucseg_launcher.engines.apptainer import command_words
    from nucseg_launcher.engines.runspec import make_spec
    from nucseg_launcher.engines.sif import find_program

    # Whoever asked for a GPU must not get the processor's speed without a word.
    device = "cuda" if job.device == "auto" and "gpu" in (wishes.gres or "") else job.device
    # A task that Slurm starts again goes on where it was.
    job = replace(job, resume=True, device=device)
    spec = make_spec(job, image=str(sif_of(job)), user="", gpus=device == "cuda")
    # Without --net: what this machine allows its users, a node of the cluster may not.
    return command_words(spec, find_program(), SCRATCH, options=())


def sif_of(job: Job) -> Path:
    """The container's file.

    Raises
    ------
    NucsegError
        ENVIRONMENT: there is none.
    """
    from nucseg_launcher.engines.sif import sif_folder, sif_name

    path = sif_folder() / sif_name(job.method.image)
    if not path.is_file():
        hint = f"nucseg sif {job.method.name}, or name the folder that holds it: export NUCSEG_SIF_DIR=..."
        raise NucsegError(f"there is no {path}", hint, ENVIRONMENT)
    return path


def submit(out: OutFolder, job: Job, wanted: Wanted) -> None:
    """Submit what is missing of a method, and say so.

    Raises
    ------
    NucsegError
        USAGE: it was submitted before, without ``--resume`` now or with other settings.
        ENVIRONMENT: Slurm does not answer or does not take it.
    """
    from nucseg_launcher.engines.apptainer import ApptainerEngine

    folder, name = job.folder, job.method.name
    sif_of(job)
    check_same(out, job)
    prepare_output(folder.path)
    with locked(folder.path):
        earlier = read_submissions(folder)
        states = client.task_states([submission.job for submission in earlier], job_name(name))
        join_records(folder, states)
        present = {image.name: image for image in survey(folder, earlier, states)}
        images = readable_names(find_images(job.in_dir)[0])
        truths = find_ground_truth(job.gt_dir, images) if job.gt_dir else {}
        missing = [
            path.name
            for path in images
            if path.name not in present
            or not (present[path.name].alive or _is_finished(job, path, present[path.name].entry, path in truths))
        ]
        alive = sum(image.alive for image in present.values())
        kept = f"{len(images) - len(missing) - alive} done, {alive} queued or running"
        if not missing:
            say(f"{name}: nothing is missing: {kept}")
            return
        text, tasks, wishes = _script(job, wanted, missing, client.largest_array())
        folder.status.unlink(missing_ok=True)
        forget_failures(folder)
        folder.tasks.mkdir(exist_ok=True)
        record.write_text(folder.script, text)
        record.write_text(folder.command, f"cd {shlex.quote(str(folder.path))} && sbatch {folder.script.name}\n")
        # A job whose number is not noted would be submitted again.
        with held():
            number = client.submit(folder.script)
            add_submission(folder, Submission(number, record.now(), wishes.time, wishes.memory, tasks))
        with locked(out.path, wait=True):
            record.write_run(out, name, _facts(job, ApptainerEngine().identity(job), number))
    rest = f" ({kept})" if len(missing) < len(images) else ""
    say(f"{name}: job {number}, {count_text(len(missing), 'image')} in {count_text(len(tasks), 'task')}{rest}")
    say(f"  script {folder.script}")


def readable_names(images: list[Path]) -> list[Path]:
    """The images, whose names go into a script and into JSON.

    Raises
    ------
    NucsegError
        USAGE, for a name that is not Unicode.
    """
    for image in images:
        try:
            image.name.encode()
        except UnicodeEncodeError:
            raise NucsegError(f"the name of {image} is not Unicode", "rename the file", USAGE) from None
    return images


def _is_finished(job: Job, image: Path, entry: dict[str, Any], has_truth: bool) -> bool:
    """Whether nothing is missing of an image, and it has not been changed since."""
    from nucseg.formats import last_changed

    label = label_file(job.folder, image.name)
    return (
        entry["status"] == DONE
        and not entry.get("problems")
        and ("scores" in entry or not has_truth)
        and label.exists()
        and last_changed(image) <= last_changed(label)
    )


def check_same(out: OutFolder, job: Job) -> None:
    """Refuse to mix results of different inputs or settings.

    Raises
    ------
    NucsegError
        USAGE.
    """
    if job.folder.submissions.exists() and not job.resume:
        raise NucsegError(
            f"{job.method.name} was submitted for {out.path} before",
            f"--resume to submit only what is missing; `nucseg status {out.path}` tells how far it is",
            USAGE,
        )
    before = dict(record.read_json(out.run).get("methods", {}).get(job.method.name, {}))
    before["version"] = record.read_json(job.folder.container_record).get("nucseg", __version__)
    for key, value in {**launch.question_of(job), "version": __version__}.items():
        if before.get(key, value) != value:
            raise NucsegError(
                f"{job.folder.path} holds results of another {key.replace('_', ' ')}: {before[key]}, not {value}",
                "the same words as before with --resume, or another output folder",
                USAGE,
            )


def _facts(job: Job, identity: dict[str, str], number: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("ended", "seconds", "peak_memory_bytes", "peak_gpu_bytes", "exit_code"))
    status = {"run": number, "engine": "slurm", "started": record.now(), "status": "submitted"}
    return {**launch.facts_of(job, {**unknown, **status}, identity), **record.outcome_facts(job.folder, ())}
