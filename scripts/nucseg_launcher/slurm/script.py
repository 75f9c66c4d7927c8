"""The batch script: what Slurm runs, readable, and complete without nucseg."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nucseg import __version__
from nucseg.method import Resources
from nucseg_launcher.engines.apptainer import PASSED
from nucseg_launcher.engines.base import Job
from nucseg_launcher.slurm.causes import HEAD, LATE
from nucseg_launcher.slurm.submission import job_name
from nucseg_launcher.units import count_text

SCRATCH = "$scratch"
"""Stands for the container's /tmp, a folder of the node that the task makes and removes."""

_GPU = re.compile(r"-G|--gpus(-per-\w+)?\b|--(gres|tres-per-\w+)[= ].*gpu")


@dataclass(frozen=True)
class Wishes:
    """What Slurm is asked for, for each task, in the spelling of sbatch; what is empty is the cluster's default.

    Attributes
    ----------
    at_once : int
        How many tasks may run at the same time.
    more : sequence of str
        Further options of sbatch, the last in the script: of two that contradict each other, sbatch takes the later.
    """

    time: str = ""
    memory: str = ""
    cores: int = 0
    gres: str = ""
    partition: str = ""
    account: str = ""
    at_once: int = 0
    more: Sequence[str] = ()

    @property
    def has_gpu(self) -> bool:
        """Whether the user has asked for a GPU, in one of sbatch's spellings."""
        return "gpu" in self.gres or any(_GPU.match(option) for option in self.more)

    @property
    def has_memory(self) -> bool:
        """Whether the user has asked for memory in a spelling of sbatch that doesn't go with ``--mem``."""
        return any(option.startswith("--mem-per-") for option in self.more)

    def filled(self, needs: Resources, device: str, images_per_task: int) -> "Wishes":
        """The method's needs in the place of what the user leaves open."""
        minutes = needs.minutes * images_per_task
        gpu = device == "cuda" or (device == "auto" and needs.gpu)
        return replace(
            self,
            time=self.time or f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:00",
            memory=self.memory or ("" if self.has_memory else f"{needs.memory_gb}G"),
            cores=self.cores or needs.cores,
            gres=self.gres or "gpu:1" * (gpu and not self.has_gpu),
        )

    def options(self, method: str, tasks: int) -> list[str]:
        """The options of sbatch."""
        array = f"0-{tasks - 1}" + (f"%{self.at_once}" if self.at_once else "")
        options = {
            "job-name": job_name(method),
            "array": array,
            "time": self.time,
            "mem": self.memory,
            "cpus-per-task": self.cores,
            "gres": self.gres,
            "partition": self.partition,
            "account": self.account,
        }
        return [*(f"--{name}={value}" for name, value in options.items() if value), *self.more]


_SCRIPT = """\
#!/bin/bash
# {method} on {images}, written by nucseg {version}.
# `nucseg status OUT` tells what came of it; `nucseg submit --resume` submits what is missing.
#SBATCH --output=tasks/%A_%a.out
#SBATCH --error=tasks/%A_%a.err
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@30
{options}
set -eu

images=(
{names}
)
per_task={per_task}
mine=("${{images[@]:SLURM_ARRAY_TASK_ID * per_task:per_task}}")
task=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
head="{head}$task on $(hostname), $(date)"
echo "$head"
echo "$head" >&2

# The task's share of the machine, which the container would not see otherwise.
share() {{ export "APPTAINERENV_$1=$2" "SINGULARITYENV_$1=$2"; }}
share OMP_NUM_THREADS "$SLURM_CPUS_PER_TASK"
for name in {shares}; do [ -z "${{!name+set}}" ] || share "$name" "${{!name}}"; done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The container finishes cleanly: when the job is cancelled, and half a minute before its time is up (--signal).
container= stopped=
stop() {{ stopped=yes; [ -z "$container" ] || kill "$container" || true; }}
trap stop TERM
trap 'echo "{late}" >&2; stop' USR1

{command} \\
    --record="/out/{tasks}/$task.json" "${{mine[@]/#/--only=}}" &
container=$!
[ -z "$stopped" ] || stop
# A signal ends only the waiting. Of a container that is over, waiting tells the exit code again.
while kill -0 "$container" 2>/dev/null; do wait "$container" || true; done
code=0
wait "$container" || code=$?
exit "$code"
"""


def _lines(words: Sequence[str]) -> str:
    """A command, each of its options on a line of its own."""
    quoted = ['"$scratch"' if word == SCRATCH else shlex.quote(word) for word in words]
    return " ".join(f"\\\n    {word}" if word.startswith("--") else word for word in quoted)


def script_text(job: Job, command: Sequence[str], tasks: Sequence[Sequence[str]], wishes: Wishes) -> str:
    """The script of a job.

    Parameters
    ----------
    job : Job
    command : sequence of str
        The engine's words, at their end those of the container's command line; `SCRATCH` among them.
    tasks : sequence of sequence of str
        Images, as `nucseg_launcher.slurm.submission.divide` shares them out.
    wishes : Wishes
    """
    images = [image for task in tasks for image in task]
    return _SCRIPT.format(
        method=job.method.name,
        images=count_text(len(images), "image"),
        version=__version__,
        options="\n".join(f"#SBATCH {shlex.quote(option)}" for option in wishes.options(job.method.name, len(tasks))),
        names="\n".join(f"    {shlex.quote(image)}" for image in images),
        per_task=len(tasks[0]),
        shares=" ".join(sorted({*PASSED} - {"OMP_NUM_THREADS"})),
        command=_lines(command),
        tasks=job.folder.tasks.name,
        head=HEAD,
        late=LATE,
    )
