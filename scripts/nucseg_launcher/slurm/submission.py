"""What was submitted: which images went into which task of which job."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nucseg.record import read_json
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.record import write_json
from nucseg_launcher.slurm.client import Task

ENGINE = "slurm"
"""What records call the engine of a run that was submitted."""


@dataclass(frozen=True)
class Submission:
    """One job: an array of tasks.

    Attributes
    ----------
    job : str
        Slurm's id of it.
    submitted : str
        Time in UTC.
    time, memory : str
        Limits of each task, as Slurm was given them.
    tasks : sequence of sequence of str
        File names of the images, task by task.
    """

    job: str
    submitted: str
    time: str
    memory: str
    tasks: Sequence[Sequence[str]]

    def task(self, number: int) -> Task:
        """One of its tasks."""
        return self.job, number


def job_name(method: str) -> str:
    """The name of a method's jobs, as squeue shows it."""
    return f"nucseg-{method}"


def read_submissions(folder: MethodFolder) -> list[Submission]:
    """All that were made in a folder, the oldest first."""
    return [Submission(**entry) for entry in read_json(folder.submissions).get("submissions", [])]


def add_submission(folder: MethodFolder, submission: Submission) -> None:
    """Note one more. The caller has locked the folder."""
    content = [asdict(entry) for entry in (*read_submissions(folder), submission)]
    write_json(folder.submissions, {"submissions": content})


def divide(images: Sequence[str], most: int) -> list[Sequence[str]]:
    """Share images out to at most so many tasks, neighbours together and evenly.

    Examples
    --------
    >>> divide(["a", "b", "c", "d", "e"], 3)
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    size = -(-len(images) // most)
    return [images[first : first + size] for first in range(0, len(images), size)]
