"""Slurm's own programs: sbatch submits, squeue tells what is alive, sacct what became of the rest."""

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.slurm.causes import explain_refusal

Task = tuple[str, int]
"""Id of a job, and the number of a task of its array."""

USUAL_ARRAY = 1001
"""Tasks that an array may have where the cluster's administrators have not decided otherwise."""

_QUEUED = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
_RUNNING = {"RUNNING", "CONFIGURING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"}


@dataclass(frozen=True)
class TaskState:
    """What Slurm says about a task.

    Attributes
    ----------
    word : str
        Slurm's own: ``PENDING``, ``OUT_OF_MEMORY``, ...
    exit_code : int or None
        128 + n when signal n ended it; None while it runs and where there is no accounting.
    reason : str
        Why it waits.
    """

    word: str
    exit_code: int | None = None
    reason: str = ""

    @property
    def queued(self) -> bool:
        """It waits for its turn, perhaps again."""
        return self.word in _QUEUED

    @property
    def running(self) -> bool:
        """It has a node."""
        return self.word in _RUNNING

    @property
    def alive(self) -> bool:
        """It is not over: its images must not be given to another task."""
        return self.queued or self.running


def submit(script: Path) -> str:
    """Submit a script, from the folder it lies in; the job's id.

    Raises
    ------
    NucsegError
        ENVIRONMENT: there is no Slurm here, or it refuses the job.
    """
    # A federation adds ";cluster".
    return _ask("sbatch", "--parsable", script.name, folder=script.parent).strip().split(";")[0]


def largest_array() -> int:
    """How many tasks an array may have here.

    Raises
    ------
    NucsegError
        ENVIRONMENT: there is no Slurm here, or it does not answer.
    """
    for line in _ask("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize" and value.strip().isdigit():
            return int(value)
    return USUAL_ARRAY


def task_states(jobs: Collection[str], name: str) -> dict[Task, TaskState]:
    """What is known about the tasks of some jobs; one that nobody remembers is left out.

    Parameters
    ----------
    jobs : collection of str
    name : str
        That of the jobs, by which squeue is asked: it fails for an id that it has forgotten.

    Raises
    ------
    NucsegError
        ENVIRONMENT: Slurm does not answer, so that nothing is known about what is alive.
    """
    if not jobs:
        return {}
    live = {task: state for task, state in _queue(name).items() if task[0] in jobs}
    # The accounting database lags, and a crash leaves tasks "running" in it for ever.
    ended = {task: state for task, state in _accounts(jobs).items() if not state.alive}
    return ended | {task: state for task, state in live.items() if state.alive or task not in ended}


def _queue(name: str) -> dict[Task, TaskState]:
    words = ["--noheader", "--array", "--states=all", f"--name={name}", "--format=%F|%K|%T|%r"]
    states = {}
    for line in _ask("squeue", *words).splitlines():
        job, task, word, reason = line.strip().split("|", 3)
        if task.isdigit():
            states[job, int(task)] = TaskState(word, reason=reason)
    return states


def _accounts(jobs: Collection[str]) -> dict[Task, TaskState]:
    """What the accounting knows; nothing where a cluster has none."""
    words = ["--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode", f"--jobs={','.join(jobs)}"]
    try:
        lines = _ask("sacct", *words).splitlines()
    except NucsegError:
        return {}
    states = {}
    for line in lines:
        name, word, codes = line.split("|")
        job, _, task = name.partition("_")
        if task.isdigit():
            code, signal = map(int, codes.split(":"))
            # "CANCELLED by 1000"
            states[job, int(task)] = TaskState(word.split()[0], 128 + signal if signal else code)
    return states


def _ask(program: str, *words: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run([program, *words], capture_output=True, encoding="utf-8", errors="replace", cwd=folder)
    except FileNotFoundError:
        raise NucsegError(
            f"Slurm is not on this machine: there is no program {program}",
            "log in to a login node of the cluster, or run it here: nucseg run",
            ENVIRONMENT,
        ) from None
    if done.returncode:
        raise explain_refusal(done.stderr)
    return done.stdout
