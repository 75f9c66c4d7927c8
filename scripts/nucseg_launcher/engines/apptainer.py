"""Apptainer (or SingularityCE): a SIF file as the calling user, read-only, without network. No daemon, no root."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from nucseg.errors import NucsegError
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.causes import NO_GPU, explain_engine_error
from nucseg_launcher.checks import Finding
from nucseg_launcher.checks.links import outside_links
from nucseg_launcher.engines.base import Job, Outcome, Sink
from nucseg_launcher.engines.child import run_child
from nucseg_launcher.engines.runspec import RunSpec, make_spec, mount_word
from nucseg_launcher.engines.sif import find_program, has_program, required_sif, sif_file
from nucseg_launcher.gpu import host_gpus

ISOLATION = ("--containall", "--no-home", "--no-eval", "--no-privs", "--pwd", "/tmp")
"""Nothing of the host but what is mounted: no home, no /tmp, no variables, no processes, no capabilities.

Without ``--no-eval`` a shell would evaluate the arguments once more.
"""

NO_NETWORK = ("--net", "--network", "none")

PASSED = (
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "SLURM_MEM_PER_NODE",
    "SLURM_MEM_PER_CPU",
    "SLURM_CPUS_ON_NODE",
)
"""Variables that tell a job its share of the machine, which ``--containall`` would take off."""

NOT_STARTED = 255
PROBE_SECONDS = 120


def command_words(
    spec: RunSpec,
    program: str,
    scratch: Path | str,
    options: tuple[str, ...] = NO_NETWORK,
    variables: Mapping[str, str] | None = None,
) -> list[str]:
    """The ``apptainer run`` command, as separate words.

    Parameters
    ----------
    spec : RunSpec
        Its image is the path of a SIF file. User and labels have no counterpart.
    program : str
    scratch : path
        A folder that exists: the container's /tmp, of which Apptainer's own has no more than 64 MB.
    options : tuple of str
        Further words, by default those that cut the container off the network.
    variables : mapping, optional
        Variables that the container gets; nothing else of the environment is passed.
    """
    words = [program, "run", *ISOLATION, *options, "--workdir", str(scratch)]
    for name, value in (variables or {}).items():
        words += ["--env", f"{name}={value}"]
    if spec.memory is not None:
        words += ["--memory", str(spec.memory)]
    if spec.gpus:
        words.append("--nv")
    for mount in spec.mounts:
        words += ["--mount", mount_word(mount)]
    return [*words, spec.image, *spec.arguments]


class ApptainerEngine:
    """The program ``apptainer`` and the SIF files that `nucseg sif` makes."""

    name = "apptainer"

    def connect(self) -> None:
        """Raise `NucsegError` (ENVIRONMENT) when it is not installed."""
        find_program()

    @property
    def version(self) -> str:
        """What it calls itself: "apptainer version 1.4.5"."""
        return subprocess.run([find_program(), "--version"], capture_output=True, text=True, check=False).stdout.strip()

    def has_image(self, method: MethodEntry) -> bool:
        """Whether it is installed and the method's SIF file is in its folder."""
        return has_program() and sif_file(method).is_file()

    def check(self, job: Job) -> list[Finding]:
        """The SIF file must be here and start, with a GPU and a memory limit where they are asked for."""
        try:
            sif = required_sif(job.method)
        except NucsegError as error:
            return [Finding("error", "image", error.cause, error.hint)]
        return [*check_start(sif, job.memory), *_check_gpu(job), *outside_links(job)]

    def spec(self, job: Job) -> RunSpec:
        """Everything that is decided about the container of a job."""
        gpus = job.device == "cuda" or (job.device == "auto" and bool(host_gpus()))
        return make_spec(job, image=str(sif_file(job.method)), user="", gpus=gpus)

    def line(self, job: Job) -> str:
        """The ``apptainer run`` command of a job, after that which makes its /tmp."""
        return f"mkdir -p {shlex.quote(str(_scratch(job)))} && {shlex.join(self._words(job))}"

    def identity(self, job: Job) -> dict[str, str]:
        """Version of Apptainer, path and checksum of the SIF file."""
        sif = sif_file(job.method)
        with sif.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"engine_version": self.version, "image": str(sif), "image_digest": f"sha256:{digest}"}

    def run(self, job: Job, sink: Sink) -> Outcome:
        """Run the job's container to its end."""
        scratch = _scratch(job)
        scratch.mkdir(mode=0o700)
        try:
            ended = run_child(self._words(job), sink)
        except OSError as error:
            raise explain_engine_error(str(error), self.name) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        said = _fatal(ended.errors)
        if ended.exit_code == NOT_STARTED and said:
            raise explain_engine_error(said, self.name)
        return Outcome(ended.exit_code, peak_memory=ended.peak_memory)

    def _words(self, job: Job) -> list[str]:
        sif, program = sif_file(job.method), find_program()
        options = () if sif.is_file() and not _can_cut_network(program, sif) else NO_NETWORK
        variables = {name: os.environ[name] for name in PASSED if name in os.environ}
        return command_words(self.spec(job), program, _scratch(job), options, variables)


def _scratch(job: Job) -> Path:
    return Path(tempfile.gettempdir()) / f"nucseg-{job.method.name}-{job.id}"


def ask(program: str, sif: Path, *words: str, options: Sequence[str] = ()) -> tuple[str, str]:
    """What a container answers, and why it doesn't: one of the two is empty."""
    command = [program, "run", *ISOLATION, *options, str(sif), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    if done.returncode:
        return "", _fatal(done.stderr) or done.stderr.strip() or f"exit code {done.returncode}"
    return done.stdout.strip(), ""


def _why_not(program: str, sif: Path, *options: str) -> str:
    """Why a container does not start with these options; empty when it does."""
    return ask(program, sif, "--version", options=options)[1]


@cache
def _can_cut_network(program: str, sif: Path) -> bool:
    """Whether this user may start containers without network here; sites differ."""
    return not _why_not(program, sif, *NO_NETWORK) or bool(_why_not(program, sif))


def check_start(sif: Path, memory: int | None) -> Iterator[Finding]:
    """What stands against starting a SIF file here, cut off the network and with a memory limit."""
    program = find_program()
    options = NO_NETWORK if _can_cut_network(program, sif) else ()
    failure = _why_not(program, sif, *options)
    if failure:
        error = explain_engine_error(failure, "apptainer")
        yield Finding("error", "engine", error.cause, error.hint)
        return
    if not options:
        yield Finding(
            "warning",
            "network",
            "this machine does not let you cut a container off the network; nucseg uses none",
            "newer Apptainer can do it without root",
        )
    if memory and _why_not(program, sif, *options, "--memory", str(memory)):
        yield Finding(
            "error",
            "memory",
            "this machine does not let Apptainer limit memory",
            "leave --memory out (in a Slurm job, its --mem is the limit)",
        )


def _check_gpu(job: Job) -> Iterator[Finding]:
    if job.device == "cuda" and not host_gpus():
        yield Finding("error", "GPU", "this machine has no NVIDIA GPU, or no driver for it", NO_GPU)


def _fatal(text: str) -> str:
    """The last thing that Apptainer itself said against starting."""
    said: list[str] = re.findall(r"^FATAL: +(.*)$", text, re.MULTILINE)
    return said[-1] if said else ""
