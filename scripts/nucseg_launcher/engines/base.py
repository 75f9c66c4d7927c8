"""What every engine is given, what it does, and what it reports."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.checks import Finding
from nucseg_launcher.layout import MethodFolder


@dataclass(frozen=True)
class Job:
    """One run of one method: what the user asked for, with the paths of the host.

    Attributes
    ----------
    id : str
        Short and unique; in the container's name and in every record.
    folder : MethodFolder
        Where the results and logs go.
    out : pathlib.Path
        The folder the user named; `folder` lies in it, or is it.
    model : pathlib.Path or None
        A model folder of the user's; a shipped model's name is an ordinary parameter.
    validation : tuple of pathlib.Path or None
        Images and labels that a training is validated on.
    only : tuple of str
        Names of the images that are meant; empty for all of the folder.
    memory : int or None
        Limit in bytes.
    """

    id: str
    method: MethodEntry
    folder: MethodFolder
    out: Path
    in_dir: Path
    only: tuple[str, ...] = ()
    gt_dir: Path | None = None
    model: Path | None = None
    params: dict[str, str] = field(default_factory=dict)
    device: str = "auto"
    memory: int | None = None
    resume: bool = False
    train: bool = False
    validation: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class Paths:
    """The folders of a job as the method will see them."""

    in_dir: str
    out: str
    gt_dir: str | None
    model: str | None
    validation: tuple[str, str] | None = None


@dataclass(frozen=True)
class Sample:
    """Memory in bytes and CPU in percent of one core, `seconds` after the start."""

    seconds: float
    memory: int
    cpu: float


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes
    ----------
    exit_code : int
        Of the container's or the process's main program; 128 + n when signal n ended it.
    oom_killed : bool
        The engine says that the memory limit killed something inside.
    peak_memory : int or None
        Bytes, where the engine knows better than the largest sample.
    """

    exit_code: int
    oom_killed: bool = False
    peak_memory: int | None = None


class Sink(Protocol):
    """Receives what the method prints, piece by piece, and what it uses."""

    def out(self, data: bytes) -> None:
        """Take a piece of stdout."""
        ...

    def err(self, data: bytes) -> None:
        """Take a piece of stderr."""
        ...

    def sample(self, sample: Sample) -> None:
        """Take a measurement; may be called from another thread."""
        ...


class Engine(Protocol):
    """Runs a job.

    Attributes
    ----------
    name : str
        As ``--engine`` takes it.
    """

    name: str

    def connect(self) -> None:
        """Raise `NucsegError` (ENVIRONMENT) when this engine can't be used on this machine."""
        ...

    def has_image(self, method: MethodEntry) -> bool:
        """Whether what it runs for this method is on this machine."""
        ...

    def check(self, job: Job) -> list[Finding]:
        """What stands against running the job here, and what the user should know."""
        ...

    def line(self, job: Job) -> str:
        """The exact command, quoted for a POSIX shell, that does the same as `run`."""
        ...

    def identity(self, job: Job) -> dict[str, Any]:
        """What exactly runs: the engine's version, the image's id and digest."""
        ...

    def run(self, job: Job, sink: Sink) -> Outcome:
        """Run the job to its end. Whatever happens, nothing of it is left running.

        Raises
        ------
        NucsegError
            It could not be started, or the engine failed meanwhile.
        Interrupted
            After the job has been stopped.
        """
        ...


def arguments(job: Job, paths: Paths) -> list[str]:
    """The words of the container's command line (CONTRACT: ``--in D --out D ...``)."""
    words = ["train"] if job.train else []
    words += ["--in", paths.in_dir, *(f"--only={name}" for name in job.only)]
    if job.train:
        words += ["--out", f"{paths.out}/{job.folder.model.name}"]
    else:
        words += ["--out", f"{paths.out}/{job.folder.labels.name}"]
        words += ["--measurements", f"{paths.out}/{job.folder.measurements.name}"]
        words += ["--overlays", f"{paths.out}/{job.folder.overlays.name}"]
    if paths.gt_dir:
        words += ["--gt", paths.gt_dir]
    if paths.validation:
        words += ["--val", paths.validation[0], "--val_gt", paths.validation[1]]
    words += ["--device", job.device]
    if job.resume:
        words.append("--resume")
    if paths.model:
        words.append(f"--{'from' if job.train else 'model'}={paths.model}")
    # One word each, so that a negative number or an empty value is not taken for a flag.
    words += [f"--{name}={value}" for name, value in job.params.items()]
    return words
