"""From a method and a folder of images to a job in Slurm's queue."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nucseg.errors import USAGE, NucsegError
from nucseg.folders import find_ground_truth, prepare_output
from nucseg.method import Resources, load_method
from nucseg.progress import say
from nucseg.record import DONE, read_json
from nucseg_launcher import launch, record
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.engines.base import Job
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.lock import locked
from nucseg_launcher.segmentation import images_of
from nucseg_launcher.signals import held
from nucseg_launcher.slurm import client
from nucseg_launcher.slurm.collect import forget_failures, join_records
from nucseg_launcher.slurm.script import SCRATCH, Wishes, script_text
from nucseg_launcher.slurm.submission import ENGINE, Submission, add_submission, divide, job_name, read_submissions
from nucseg_launcher.slurm.survey import label_file, survey
from nucseg_launcher.units import count_text


def resources_of(method: MethodEntry) -> Resources:
    """What the method says that a volume takes; the usual, with a note, where its code is not here."""
    try:
        return load_method(method.name).resources
    except (NucsegError, ImportError):
        usual = Resources()
        say(
            f"note: without the nucseg repository it is not known what {method.name} needs. Where --mem, --time, "
            f"--cpus and --gres (or --device cuda) don't say, a task asks for {usual.memory_gb} GB, "
            f"{usual.minutes} minutes per image, {usual.cores} cores and no GPU",
            sys.stderr,
        )
        return usual


def text_of(job: Job, wishes: Wishes, array_size: int) -> str:
    """The script that `submit` would write for all images, also where there is no Slurm."""
    try:
        largest = client.largest_array()
    except NucsegError:
        largest = client.USUAL_ARRAY
    images = [image.name for image in images_of(job)]
    tasks = divide(images, min(array_size or largest, largest))
    return _script(job, _filled(wishes, job, tasks), tasks)


def _filled(wishes: Wishes, job: Job, tasks: Sequence[Sequence[str]]) -> Wishes:
    return wishes.filled(resources_of(job.method), job.device, len(tasks[0]))


def _script(job: Job, wishes: Wishes, tasks: Sequence[Sequence[str]]) -> str:
    return script_text(job, _container_words(job, wishes), tasks, wishes)


def _container_words(job: Job, wishes: Wishes) -> list[str]:
    from nucseg_launcher.engines.apptainer import command_words
    from nucseg_launcher.engines.runspec import make_spec
    from nucseg_launcher.engines.sif import find_program, required_sif

    # Whoever asked for a GPU must not get the processor's speed without a word.
    device = "cuda" if job.device == "auto" and wishes.has_gpu else job.device
    # A task that Slurm starts again goes on where it was; which images are its own, the script says.
    job = replace(job, only=(), resume=True, device=device)
    spec = make_spec(job, image=str(required_sif(job.method)), user="", gpus=device == "cuda")
    # Without --net: what this machine allows its users, a node of the cluster may not.
    return command_words(spec, find_program(), SCRATCH, options=())


def submit(out: OutFolder, job: Job, wishes: Wishes, array_size: int) -> None:
    """Submit what is missing of a method, and say so.

    Parameters
    ----------
    out : OutFolder
    job : Job
    wishes : Wishes
        What the user has said; the method's needs are filled in.
    array_size : int
        Most tasks; 0 for as many as images.

    Raises
    ------
    NucsegError
        USAGE: it was submitted before, without ``--resume`` now or with other settings.
        ENVIRONMENT: Slurm does not answer or does not take it.
    """
    from nucseg_launcher.engines.apptainer import ApptainerEngine
    from nucseg_launcher.engines.sif import required_sif

    folder, name = job.folder, job.method.name
    required_sif(job.method)
    check_same(out, job)
    largest = client.largest_array()
    prepare_output(folder.path)
    with locked(folder.path):
        missing, others = missing_images(job)
        if not missing:
            say(f"{name}: nothing is missing: {others}")
            return
        tasks = divide(missing, min(array_size or largest, largest))
        wishes = _filled(wishes, job, tasks)
        identity = ApptainerEngine().identity(job)
        folder.status.unlink(missing_ok=True)
        forget_failures(folder)
        folder.tasks.mkdir(exist_ok=True)
        record.write_text(folder.script, _script(job, wishes, tasks))
        record.write_text(folder.command, f"cd {shlex.quote(str(folder.path))} && sbatch {folder.script.name}\n")
        # A job whose number is not noted would be submitted again.
        with held():
            number = client.submit(folder.script)
            add_submission(folder, Submission(number, record.now(), wishes.time, wishes.memory, tasks))
        with locked(out.path, wait=True):
            record.write_run(out, name, _facts(job, identity, number))
    say(f"{name}: job {number}, {count_text(len(missing), 'image')} in {count_text(len(tasks), 'task')} ({others})")
    say(f"  script {folder.script}")


def missing_images(job: Job) -> tuple[list[str], str]:
    """Names of the images that are neither finished nor in Slurm's hands, and how many others there are, in words."""
    earlier = read_submissions(job.folder)
    states = client.task_states([submission.job for submission in earlier], job_name(job.method.name))
    join_records(job.folder, states)
    known = {image.name: image for image in survey(job.folder, earlier, states)}
    images = images_of(job)
    truths = find_ground_truth(job.gt_dir, images) if job.gt_dir else {}
    alive = {image.name for image in images if image.name in known and known[image.name].alive}
    done = {
        image.name
        for image in images
        if image.name in known and _is_finished(job, image, known[image.name].entry, truths.get(image))
    }
    missing = [image.name for image in images if image.name not in alive | done]
    return missing, f"{len(done - alive)} done before, {len(alive)} queued or running"


def _is_finished(job: Job, image: Path, entry: dict[str, Any], truth: Path | None) -> bool:
    """Whether nothing is missing of an image, and neither it nor its ground truth has been changed since."""
    from nucseg.formats import content_sha256, last_changed

    label = label_file(job.folder, image.name)
    return (
        entry["status"] == DONE
        and not entry.get("problems")
        and label.exists()
        and last_changed(image) <= last_changed(label)
        and (truth is None or entry.get("truth_sha256") == content_sha256(truth))
    )


def check_same(out: OutFolder, job: Job) -> None:
    """Refuse to mix results of different inputs; of their settings, `as_before` takes care.

    Raises
    ------
    NucsegError
        USAGE.
    """
    if job.folder.submissions.exists() and not job.resume:
        raise NucsegError(
            f"{job.method.name} was submitted for {out.path} before",
            f"--resume to submit only what is missing; how far it is: nucseg status {shlex.quote(str(out.path))}",
            USAGE,
        )
    before = read_json(out.run).get("methods", {}).get(job.method.name, {})
    question = launch.question_of(job)
    for key, what in (("input", "input folder"), ("ground_truth", "ground truth")):
        if before.get(key, question[key]) != question[key]:
            raise NucsegError(
                f"{job.folder.path} holds results of another {what}: {before[key]}, not {question[key]}",
                "the same folders as before with --resume, or another output folder",
                USAGE,
            )


def _facts(job: Job, identity: dict[str, str], number: str) -> dict[str, Any]:
    unknown = dict.fromkeys(("ended", "seconds", "peak_memory_bytes", "peak_gpu_bytes", "exit_code"))
    status = {"run": number, "engine": ENGINE, "started": record.now(), "status": "submitted"}
    return {**launch.facts_of(job, {**unknown, **status}, identity), **record.outcome_facts(job.folder, ())}
