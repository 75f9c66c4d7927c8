"""Where each image stands: by the files in OUT first, and by Slurm where they do not tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucseg.errors import NucsegError
from nucseg.record import DONE, FAILED, read_images
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.record import NOT_DONE
from nucseg_launcher.slurm.causes import HEAD, TaskEnding, explain_task
from nucseg_launcher.slurm.client import Task, TaskState
from nucseg_launcher.slurm.submission import Submission

QUEUED, RUNNING, UNKNOWN = "queued", "running", "unknown"

_TAIL = 20_000


@dataclass(frozen=True)
class ImageState:
    """Where one image stands.

    Attributes
    ----------
    state : str
        ``done``, ``running``, ``queued``, ``failed`` or ``not done``; ``unknown`` where only Slurm could tell.
    entry : dict
        As in the run record; of a failed image `cause` and `hint`.
    task : Task or None
        The last one that it was given to.
    reason : str
        Why it is queued, in Slurm's words.
    """

    name: str
    state: str
    entry: dict[str, Any]
    task: Task | None = None
    reason: str = ""

    @property
    def alive(self) -> bool:
        """A task has it or will have it."""
        return self.state in (QUEUED, RUNNING)


def label_file(folder: MethodFolder, image: str) -> Path:
    """Where the label image of an image lies."""
    from nucseg.formats import label_name

    return folder.labels / label_name(Path(image))


def task_records(folder: MethodFolder) -> dict[Task, Path]:
    """The run records that tasks have written and that are not part of the whole one yet, the oldest first."""
    records = {}
    for path in sorted(folder.tasks.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
        job, _, number = path.stem.partition("_")
        if number.isdigit():
            records[job, int(number)] = path
    return records


def recorded_images(folder: MethodFolder) -> dict[str, dict[str, Any]]:
    """What the records say about each image, the latest word on it."""
    entries = read_images(folder.container_record)
    for path in task_records(folder).values():
        entries |= read_images(path)
    return entries


def survey(
    folder: MethodFolder, submissions: Sequence[Submission], tasks: Mapping[Task, TaskState] | None
) -> list[ImageState]:
    """Where each image of some submissions stands, and what else is recorded, by name.

    Parameters
    ----------
    folder : MethodFolder
    submissions : sequence of Submission
        The oldest first.
    tasks : mapping of Task to TaskState, or None
        What Slurm says; a task that is missing is over. None where Slurm does not answer.
    """
    entries = recorded_images(folder)
    owners = {
        image: (submission, number)
        for submission in submissions
        for number, images in enumerate(submission.tasks)
        for image in images
    }
    endings: dict[Task, NucsegError | None] = {}
    states = []
    for name in sorted(owners.keys() | entries.keys()):
        entry = entries.get(name, {"file": name, "status": NOT_DONE})
        if entry["status"] == DONE and label_file(folder, name).exists():
            states.append(ImageState(name, DONE, entry))
            continue
        if name not in owners:
            entry = entry if entry["status"] == FAILED else {"file": name, "status": NOT_DONE}
            states.append(ImageState(name, entry["status"], entry))
            continue
        submission, number = owners[name]
        task = submission.task(number)
        if tasks is None:
            states.append(ImageState(name, FAILED if entry["status"] == FAILED else UNKNOWN, entry, task))
            continue
        found = tasks.get(task)
        if found and found.alive:
            states.append(ImageState(name, QUEUED if found.queued else RUNNING, entry, task, found.reason))
            continue
        if entry["status"] != FAILED:
            if task not in endings:
                endings[task] = explain_task(_ending(folder, submission, task, found))
            entry = {"file": name, "status": NOT_DONE}
            failure = endings[task]
            if failure:
                entry |= {"status": FAILED, "cause": failure.cause, "hint": failure.hint}
        states.append(ImageState(name, entry["status"], entry, task))
    return states


def _ending(folder: MethodFolder, submission: Submission, task: Task, state: TaskState | None) -> TaskEnding:
    return TaskEnding(
        state.word if state else None,
        state.exit_code if state else None,
        _tail(folder.task_file(*task, ".out")),
        _tail(folder.task_file(*task, ".err")),
        submission.time,
        submission.memory,
    )


def _tail(path: Path) -> str:
    """The end of a log; not what an earlier start of the task has left in it."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            return file.read().decode("utf-8", "replace").rpartition(HEAD)[2]
    except OSError:
        return ""
