"""No container: the same program as a plain process of this machine, from this Python environment."""

import shlex
import sys

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.catalogue import MethodEntry, require_root
from nucseg_launcher.checks import Finding
from nucseg_launcher.engines.base import Job, Outcome, Paths, Sink, arguments
from nucseg_launcher.engines.child import run_child


class ProcessEngine:
    """Runs ``python -m nucseg.app``, which is also the images' entrypoint."""

    name = "process"

    def connect(self) -> None:
        """Raise `NucsegError` (ENVIRONMENT) when the methods' code is not here."""
        require_root("Running without a container")

    def has_image(self, method: MethodEntry) -> bool:
        """It needs none."""
        return True

    def check(self, job: Job) -> list[Finding]:
        """A memory limit needs a container."""
        remedy = "leave it out, or use --engine docker"
        return [Finding("error", "memory", "--memory needs a container engine", remedy)] if job.memory else []

    def _environment(self, job: Job) -> dict[str, str]:
        return {"NUCSEG_METHOD": job.method.name, "NUCSEG_ROOT": str(require_root("Running without a container"))}

    def _words(self, job: Job) -> list[str]:
        paths = Paths(
            str(job.in_dir),
            str(job.folder.path),
            str(job.gt_dir) if job.gt_dir else None,
            str(job.model) if job.model else None,
            (str(job.validation[0]), str(job.validation[1])) if job.validation else None,
        )
        # -P: a module in the current folder must not be taken for one of ours.
        return [sys.executable, "-P", "-m", "nucseg.app", *arguments(job, paths)]

    def line(self, job: Job) -> str:
        """The command of a job, with the two variables that it needs."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self._environment(job).items()]
        return " ".join([*variables, shlex.join(self._words(job))])

    def identity(self, job: Job) -> dict[str, str]:
        """The Python that runs the method."""
        return {"engine_version": f"Python {sys.version.split()[0]}", "python": sys.executable}

    def run(self, job: Job, sink: Sink) -> Outcome:
        """Run the job's process to its end."""
        try:
            ended = run_child(self._words(job), sink, self._environment(job))
        except OSError as error:
            raise NucsegError(f"Python cannot be started ({error})", "run `make setup` again", ENVIRONMENT) from error
        return Outcome(ended.exit_code, peak_memory=ended.peak_memory)
