"""Slurm's words -> a cause and one thing to try. In this place only."""

import re
from dataclasses import dataclass

from nucseg.errors import CONTAINER_FAILED, ENVIRONMENT, FAILED_IMAGE, NucsegError
from nucseg_launcher.causes import Ending, error_lines, explain_ending

HEAD = "== task "
"""Begins what a task says in each of its logs, each time that Slurm starts it."""

LATE = "== the time is nearly up"
"""What the batch script says when it ends the container before Slurm would."""

_AGAIN = "nucseg submit --resume does what is missing"

_REFUSALS: list[tuple[str, str, str]] = [
    (r"Invalid partition", "the cluster has no such partition", "--partition with one that `sinfo` lists"),
    (
        r"Invalid account|Invalid qos|account.*not permitted",
        "the cluster does not take this account or QOS from you",
        "--account with one that `sacctmgr show associations user=$USER` lists",
    ),
    (
        r"Invalid generic resource|gres specification",
        "the cluster has no such GPU",
        "--gres as `sinfo --format='%P %G'` lists them, or --device cpu",
    ),
    (
        r"Memory specification|CPU count|node configuration is not available|More processors requested",
        "no node of the partition has as much",
        "less --mem, --cpus or --gres, or another --partition; `sinfo --long --Node` lists the nodes",
    ),
    (r"time limit", "the partition does not allow so long a job", "less --time, or another --partition"),
    (r"MaxSubmit|QOSMax|AssocMax", "you may not have so many jobs at once", "a smaller --array-size"),
    (r"Invalid job array", "the cluster does not take an array of that size", "a smaller --array-size"),
    (
        r"option '|Invalid --|Invalid argument",
        "Slurm does not understand an option",
        "`sbatch --help` lists what it takes",
    ),
    (
        r"Unable to contact|Connection refused|Zero Bytes|Socket timed out|communications",
        "Slurm's controller does not answer",
        "wait a little; `sinfo` shows when it is back",
    ),
]


@dataclass(frozen=True)
class TaskEnding:
    """What is known about a task that has ended.

    Attributes
    ----------
    word : str or None
        Slurm's own, ``TIMEOUT`` for example; None where nobody remembers the task.
    exit_code : int or None
        As in `nucseg_launcher.slurm.client.TaskState`.
    output, errors : str
        The ends of its two logs, since it was started last.
    time, memory : str
        Its limits, as Slurm was given them.
    """

    word: str | None
    exit_code: int | None
    output: str
    errors: str
    time: str
    memory: str


_ENDINGS: list[tuple[set[str], str, str, str]] = [
    (
        {"OUT_OF_MEMORY"},
        r"oom[-_ ]kill",
        "out of memory: it reached its limit of {memory} and was killed",
        "nucseg submit --resume with a larger --mem",
    ),
    (
        {"TIMEOUT", "DEADLINE"},
        rf"DUE TO TIME LIMIT|^{LATE}",
        "out of time: it reached its limit (--time={time})",
        "nucseg submit --resume with more --time, or with fewer images per task (a larger --array-size)",
    ),
    ({"NODE_FAIL", "BOOT_FAIL"}, r"DUE TO NODE FAILURE", "its node failed", _AGAIN),
    ({"PREEMPTED"}, r"DUE TO PREEMPTION", "Slurm stopped it for a job of higher priority", _AGAIN),
    (
        {"CANCELLED", "REVOKED"},
        r"CANCELLED AT|^terminated: finished images",
        "it was cancelled (scancel), by you or an administrator",
        _AGAIN,
    ),
]
"""Slurm's word for an ending, what the log says where that is all that is known, cause, remedy."""


def explain_refusal(text: str) -> NucsegError:
    """What Slurm's error message means to a user; ENVIRONMENT."""
    said = text.strip().removeprefix("sbatch: ")
    for pattern, cause, hint in _REFUSALS:
        if re.search(pattern, text, re.IGNORECASE):
            return NucsegError(f"{cause} (Slurm says: {said})", hint, ENVIRONMENT)
    return NucsegError(f"Slurm says: {said}", "ask those who run the cluster what it means", ENVIRONMENT)


def explain_task(ending: TaskEnding) -> NucsegError | None:
    """Why a task left images undone; None when it has ended well."""
    for words, pattern, cause, hint in _ENDINGS:
        unspecific = ending.word in (None, "FAILED")
        if ending.word in words or (unspecific and re.search(pattern, ending.errors, re.MULTILINE)):
            return NucsegError(cause.format(memory=ending.memory or "memory", time=ending.time), hint, CONTAINER_FAILED)
    said = f"{ending.output}\n{ending.errors}"
    if ending.exit_code is not None or ending.word == "COMPLETED":
        return explain_ending(Ending(ending.exit_code or 0, errors=said))
    if error_lines(said) or "Traceback" in said:
        return explain_ending(Ending(FAILED_IMAGE, errors=said))
    return NucsegError("it was killed, or crashed without a word", _AGAIN, CONTAINER_FAILED)
