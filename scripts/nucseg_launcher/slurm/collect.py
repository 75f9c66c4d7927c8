"""From the records of many tasks to those of one run: after it, OUT is as a local run leaves it."""

import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nucseg import __version__
from nucseg.errors import FAILED_IMAGE, USAGE, NucsegError
from nucseg.progress import say
from nucseg.record import DONE, FAILED, read_json
from nucseg_launcher import record
from nucseg_launcher.launch import OF_STATUS
from nucseg_launcher.layout import MethodFolder, OutFolder
from nucseg_launcher.lock import locked
from nucseg_launcher.slurm.client import Task, TaskState, task_states
from nucseg_launcher.slurm.submission import ENGINE, Submission, job_name, read_submissions
from nucseg_launcher.slurm.survey import ImageState, survey, task_records
from nucseg_launcher.units import count_text


def collect(out: OutFolder, method: str) -> list[ImageState]:
    """Where each image of a method stands; what its tasks have recorded is joined.

    When no task is left, the status, the summary and the logs of the whole run are written, as a
    local run writes them.

    Raises
    ------
    NucsegError
        ENVIRONMENT: Slurm does not answer. USAGE: another run is writing there, which may take hours.
    """
    folder = out.method(method)
    submissions = read_submissions(folder)
    with locked(folder.path):
        tasks = task_states([submission.job for submission in submissions], job_name(method))
        images = survey(folder, submissions, tasks)
        join_records(folder, tasks)
        over = not any(state.alive for state in tasks.values())
        known = read_json(out.run).get("methods", {}).get(method, {})
        # After a run on this machine, logs and records are that one's.
        if over and submissions and known.get("engine", ENGINE) == ENGINE and not _is_told(folder, images):
            _finish(out, method, known, submissions, images)
    return images


def _is_told(folder: MethodFolder, images: Iterable[ImageState]) -> bool:
    told = {entry["file"]: entry["status"] for entry in read_json(folder.status).get("images", [])}
    return told == {image.name: image.entry["status"] for image in images}


def collect_all(out: OutFolder) -> None:
    """`collect` what was submitted and is not told yet, as far as Slurm can be asked here."""
    for method in out.methods():
        folder = out.method(method)
        if folder.submissions.exists() and not folder.status.exists():
            try:
                collect(out, method)
            except NucsegError as error:
                say(f"warning: {method} may not be complete: {error.cause}", sys.stderr)


def take_over(out: OutFolder, method: str) -> None:
    """Let a run on this machine go on where tasks of a cluster have stopped.

    Raises
    ------
    NucsegError
        USAGE: they have not stopped, or another run is writing there.
    """
    try:
        alive = [image for image in collect(out, method) if image.alive]
    except NucsegError as error:
        if error.exit_code == USAGE:
            raise
        # The folder may have been copied from the cluster.
        say(f"note: whether tasks of {method} still run is not known: {error.cause}")
        with locked(out.method(method).path):
            join_records(out.method(method), {})
        return
    if alive:
        jobs = sorted({image.task[0] for image in alive if image.task})
        raise NucsegError(
            f"{count_text(len(alive), 'image')} of {out.path} are queued or running on the cluster",
            f"wait for them (nucseg status {shlex.quote(str(out.path))}), or cancel them: scancel {' '.join(jobs)}",
            USAGE,
        )


def join_records(folder: MethodFolder, tasks: Mapping[Task, TaskState]) -> None:
    """Put the records of tasks into that of the folder; those of tasks that are over are not needed any more."""
    records = task_records(folder)
    if not records:
        return
    whole = read_json(folder.container_record)
    entries = {entry["file"]: entry for entry in whole.get("images", [])}
    for path in records.values():
        part = read_json(path)
        entries |= {entry["file"]: entry for entry in part.pop("images", [])}
        whole = part
    _write_record(folder, whole, entries)
    for task, path in records.items():
        if task not in tasks or not tasks[task].alive:
            path.unlink()


def forget_failures(folder: MethodFolder) -> None:
    """Keep nothing but done images in the record, because the others are tried again. Their tasks are over."""
    whole = read_json(folder.container_record)
    if whole:
        _write_record(folder, whole, {entry["file"]: entry for entry in whole["images"] if entry["status"] == DONE})


def _write_record(folder: MethodFolder, whole: dict[str, Any], entries: Mapping[str, dict[str, Any]]) -> None:
    folder.labels.mkdir(exist_ok=True)
    record.write_json(folder.container_record, {**whole, "images": [entries[name] for name in sorted(entries)]})


def _finish(
    out: OutFolder,
    method: str,
    known: Mapping[str, Any],
    submissions: Sequence[Submission],
    images: Sequence[ImageState],
) -> None:
    folder = out.method(method)
    for suffix, target in ((".out", folder.stdout), (".err", folder.stderr)):
        with target.open("wb") as whole:
            for path in sorted(folder.tasks.glob(f"*{suffix}"), key=lambda path: path.stat().st_mtime_ns):
                with path.open("rb") as part:
                    shutil.copyfileobj(part, whole)
    status = _status(method, submissions, images)
    facts = {**known, **{key: status[key] for key in OF_STATUS if key in status}}
    facts |= record.outcome_facts(folder, status["images"])
    record.write_records(out, facts, status)


def _status(method: str, submissions: Sequence[Submission], images: Iterable[ImageState]) -> dict[str, Any]:
    entries = [image.entry for image in images]
    failed = [entry for entry in entries if entry["status"] == FAILED]
    incomplete = any(entry["status"] != DONE or entry.get("problems") for entry in entries)
    peaks = [entry["peak_memory_mib"] for entry in entries if entry.get("peak_memory_mib")]
    status: dict[str, Any] = {
        "method": method,
        "run": submissions[-1].job,
        "status": "incomplete" if incomplete else "done",
        "exit_code": FAILED_IMAGE if incomplete else 0,
        "started": submissions[0].submitted,
        "ended": record.now(),
        "seconds": round(sum(entry.get("seconds", 0) for entry in entries), 2),
        "peak_memory_bytes": int(max(peaks) * 1024**2) if peaks else None,
        "nucseg": __version__,
        "engine": ENGINE,
        "images": entries,
    }
    if failed:
        status |= {"cause": f"{count_text(len(failed), 'image')} could not be segmented", "hint": failed[0]["hint"]}
    return status
