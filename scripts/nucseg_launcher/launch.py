"""From a checked job to its records: what `run` and `train` have in common."""

import shlex
import sys
from collections.abc import Sequence
from typing import Any

from nucseg import __version__
from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.progress import say
from nucseg_launcher import record
from nucseg_launcher.checks import Finding
from nucseg_launcher.engines.base import Engine, Job
from nucseg_launcher.execution import Result, perform

OF_STATUS = (
    "run",
    "engine",
    "started",
    "ended",
    "seconds",
    "peak_memory_bytes",
    "peak_gpu_bytes",
    "exit_code",
    "status",
)


def judge(findings: Sequence[Finding], *, only_tell: bool) -> None:
    """Tell of what was found; the first error ends the command, unless `only_tell`.

    Raises
    ------
    NucsegError
        ENVIRONMENT.
    """
    for finding in findings:
        if finding.severity == "error" and not only_tell:
            raise NucsegError(finding.message, finding.remedy, ENVIRONMENT)
        if finding.severity != "ok":
            say(f"{finding.severity}: {finding.message}. Try: {finding.remedy}", sys.stderr)


def script(engine: Engine, job: Job) -> str:
    """The job as two lines of shell: the folder that must exist, and the command."""
    return f"mkdir -p {shlex.quote(str(job.folder.path))}\n{engine.line(job)}"


def launch(engine: Engine, job: Job) -> Result:
    """Print and note the command, and run it. The caller has made the folder and locked it."""
    line = engine.line(job)
    # Until it is written again, nothing tells that this folder is complete.
    job.folder.status.unlink(missing_ok=True)
    record.write_text(job.folder.command, line + "\n")
    say("The same without nucseg:")
    say(line)
    return perform(engine, job)


def status_of(engine: Engine, job: Job, result: Result, started: str) -> dict[str, Any]:
    """What ``status.json`` says about any run."""
    words = {0: "done", 1: "incomplete"}
    status: dict[str, Any] = {
        "method": job.method.name,
        "run": job.id,
        "status": "interrupted" if result.interrupted else words.get(result.exit_code, "failed"),
        "exit_code": result.exit_code,
        "container_exit_code": result.outcome.exit_code if result.outcome else None,
        "oom_killed": result.outcome.oom_killed if result.outcome else None,
        "started": started,
        "ended": record.now(),
        "seconds": round(result.seconds, 2),
        "peak_memory_bytes": result.peak_memory,
        "peak_gpu_bytes": result.peak_gpu_memory,
        "nucseg": __version__,
        "engine": engine.name,
    }
    if result.failure:
        status |= {"cause": result.failure.cause, "hint": result.failure.hint}
    return status


def question_of(job: Job) -> dict[str, Any]:
    """What decides about the labels of a job: runs that differ in it must not share a folder."""
    return {
        "input": str(job.in_dir),
        "ground_truth": str(job.gt_dir) if job.gt_dir else None,
        "model": str(job.model) if job.model else job.params.get("model"),
        "params": job.params,
    }


def facts_of(job: Job, status: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """What is told of a run besides its status; `identity` is the engine's, asked for before the run."""
    return {
        **identity,
        "command": job.folder.command.read_text(encoding="utf-8").strip(),
        **question_of(job),
        "device": job.device,
        "memory_limit_bytes": job.memory,
        **{key: status[key] for key in OF_STATUS},
    }


def problems(engine: Engine, job: Job) -> list[Finding]:
    """`Engine.check`, with an engine that cannot be reached at all as one more finding."""
    try:
        engine.connect()
    except NucsegError as error:
        return [Finding("error", "engine", error.cause, error.hint)]
    return engine.check(job)
