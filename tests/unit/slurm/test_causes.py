"""How a task ended, by Slurm's word, or by its log where nobody remembers the word."""

import pytest

from nucseg.errors import CONTAINER_FAILED, ENVIRONMENT, FAILED_IMAGE
from nucseg_launcher.slurm.causes import LATE, TaskEnding, explain_refusal, explain_task

# As Slurm 22.05 wrote them.
OOM = (
    "slurmstepd-vm: error: Detected 1 oom-kill event(s) in StepId=3.batch. "
    "Some of your processes may have been killed by the cgroup out-of-memory handler."
)
CANCELLED = "slurmstepd-vm: error: *** JOB 2 ON vm CANCELLED AT 2026-11-25T21:06:01 ***"
LIMIT = "slurmstepd-vm: error: *** JOB 2 ON vm CANCELLED AT 2026-11-25T21:06:01 DUE TO TIME LIMIT ***"
NODE = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-25T21:06:01 DUE TO NODE FAILURE, SEE SLURMCTLD LOG ***"
TERMINATED = "terminated: finished images are complete, --resume goes on"
OWN = "error: a.tif: it is empty. Try: another file"


def ending(word=None, code=None, output="", errors=""):
    return TaskEnding(word, code, output, errors, time="0-00:20:00", memory="16G")


@pytest.mark.parametrize(
    ("ended", "code", "cause", "hint"),
    [
        (ending("OUT_OF_MEMORY", 125), CONTAINER_FAILED, "its limit of 16G", "--mem"),
        (ending(errors=OOM), CONTAINER_FAILED, "its limit of 16G", "--mem"),
        (ending("FAILED", 1, errors=OOM), CONTAINER_FAILED, "its limit of 16G", "--mem"),
        (ending("TIMEOUT", 15), CONTAINER_FAILED, "its limit (--time=0-00:20:00)", "--time"),
        (ending("FAILED", 143, errors=f"{LATE}\n{TERMINATED}\n{CANCELLED}"), CONTAINER_FAILED, "out of time", "--time"),
        (ending(errors=f"{TERMINATED}\n{LIMIT}"), CONTAINER_FAILED, "out of time", "--time"),
        (ending("NODE_FAIL", 1), CONTAINER_FAILED, "node failed", "--resume"),
        (ending(errors=NODE), CONTAINER_FAILED, "node failed", "--resume"),
        (ending("PREEMPTED", 0), CONTAINER_FAILED, "higher priority", "--resume"),
        (ending("CANCELLED", 0), CONTAINER_FAILED, "scancel", "--resume"),
        (ending(errors=f"{TERMINATED}\n{CANCELLED}"), CONTAINER_FAILED, "scancel", "--resume"),
        (ending("FAILED", 1, output=OWN), FAILED_IMAGE, "a.tif: it is empty", "another file"),
        (ending(output=OWN), FAILED_IMAGE, "a.tif: it is empty", "another file"),
        (ending("FAILED", 3, errors="error: no GPU\n  try: --device cpu"), ENVIRONMENT, "no GPU", "--device cpu"),
        (ending("FAILED", 137), CONTAINER_FAILED, "SIGKILL", "--resume"),
        (ending("FAILED"), CONTAINER_FAILED, "killed", "--resume"),
        (ending(), CONTAINER_FAILED, "killed", "--resume"),
    ],
)
def test_endings(ended, code, cause, hint):
    failure = explain_task(ended)
    assert failure is not None
    assert (failure.exit_code, cause in failure.cause, hint in failure.hint) == (code, True, True), failure


@pytest.mark.parametrize("code", [0, None])
def test_a_task_that_ended_well_is_no_failure(code):
    assert explain_task(ending("COMPLETED", code, errors=OOM.replace("oom-kill", "other"))) is None


@pytest.mark.parametrize(
    ("said", "cause", "hint"),
    [
        ("sbatch: error: invalid partition specified: nix\n", "no such partition", "--partition"),
        ("sbatch: error: Memory specification can not be satisfied\n", "no node of the partition", "--mem"),
        ("sbatch: error: Invalid generic resource (gres) specification", "no such GPU", "--gres"),
        ("sbatch: error: Invalid --time specification", "an option", "sbatch --help"),
        ("slurm_load_partitions: Unable to contact slurm controller (connect failure)", "does not answer", "wait"),
        ("something new", "Slurm says: something new", "ask"),
    ],
)
def test_refusals(said, cause, hint):
    error = explain_refusal(said)
    assert error.exit_code == ENVIRONMENT
    assert cause in error.cause
    assert hint in error.hint
