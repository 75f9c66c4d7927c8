"""Failure texts and exit codes of other programs -> a cause and one thing to try. In this place only."""

import re
from dataclasses import dataclass

from nucseg.errors import CONTAINER_FAILED, ENVIRONMENT, FAILED_IMAGE, USAGE, NucsegError
from nucseg_launcher.units import size_text

OUT_OF_MEMORY = "give it more memory (close other programs, a larger --memory), or a smaller volume"
NO_CDI = "install the NVIDIA container toolkit, then: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
NO_GPU = "install the NVIDIA driver and the NVIDIA container toolkit, or use --device cpu; `nucseg doctor` looks closer"


@dataclass(frozen=True)
class Ending:
    """What is known about a container or process that has ended.

    Attributes
    ----------
    memory_limit : int or None
        Bytes, when the user set one.
    errors : str
        The end of what it wrote on stderr.
    """

    exit_code: int
    oom_killed: bool = False
    memory_limit: int | None = None
    errors: str = ""


_DOCKER_ERRORS: list[tuple[str, str, str]] = [
    (
        r"could not select device driver|unknown or invalid runtime name: nvidia",
        "the engine cannot give a GPU to a container",
        NO_GPU,
    ),
    (
        r"nvidia-container-cli|nvidia-container-runtime|CUDA_ERROR",
        "the NVIDIA container toolkit failed to hand in the GPU",
        NO_GPU,
    ),
    (
        r"unsatisfied condition: cuda",
        "the NVIDIA driver is too old for this image",
        "update the driver, or use --device cpu",
    ),
    (
        r"no space left on device",
        "the disk of the container engine is full",
        "`docker system df` shows what fills it, `docker system prune` frees what is unused",
    ),
    (
        r"toomanyrequests|rate limit",
        "the registry has had too many requests from here",
        "wait some hours, `docker login`, or build the image here: `nucseg build`",
    ),
    (
        r"manifest (unknown|for .* not found)|repository does not exist|pull access denied|not found: manifest",
        "the registry has no such image",
        "build it here: `nucseg build`",
    ),
    (
        r"no such host|dial tcp|i/o timeout|network is unreachable|TLS handshake|x509|context deadline|\.Timeout|EOF",
        "the registry cannot be reached from the engine",
        "check the network and the engine's proxy settings, or build the image here: `nucseg build`",
    ),
    (r"mounts denied|not shared from", "the engine may not see that folder", "share it in Docker Desktop's settings"),
    (
        r"invalid mount config|mount source path",
        "the container engine cannot read one of the folders (is it on a network drive?)",
        "copy it to a disk of this machine, or use --engine podman, apptainer or process",
    ),
    (
        r"(exec|entrypoint).*(not found|no such file|permission denied)|No command specified",
        "the image is not a nucseg image",
        "build or pull it again",
    ),
    # Broad patterns, which others above may contain.
    (
        r"permission denied|Errno 13",
        "the container engine does not let this user in",
        "sudo usermod -aG docker $USER, then log out and in again",
    ),
    (
        r"No such file or directory|Connection (refused|aborted)|Errno 111|Cannot connect to the Docker",
        "Docker does not answer",
        "start Docker (sudo systemctl start docker, or open Docker Desktop)",
    ),
    (
        r"Read timed out",
        "the container engine stopped answering",
        "restart it if `docker info` hangs too",
    ),
]

_APPTAINER_ERRORS: list[tuple[str, str, str]] = [
    (
        r"user namespace|newuidmap|setgroups|clone\(\)|unshare",
        "this machine lets no ordinary user start containers (user namespaces are switched off)",
        "ask its administrators for user namespaces, or for the package apptainer-suid",
    ),
    (
        r"fuse",
        "the SIF file cannot be mounted by an ordinary user",
        "install squashfuse, and let users open /dev/fuse (chmod 666 /dev/fuse)",
    ),
    (
        r"image format not recognized|bad superblock|no SIF|not a SIF|unexpected EOF",
        "the SIF file is damaged or was not written to its end",
        "make it again: nucseg sif",
    ),
    (
        r"no space left on device",
        "the disk that Apptainer works on is full",
        "name a larger one: export APPTAINER_TMPDIR=... (an image needs about three times its size while it is made)",
    ),
    (
        r"cgroups?",
        "this machine does not let Apptainer limit memory",
        "leave --memory out (in a Slurm job, its --mem is the limit)",
    ),
    (
        r"permission denied",
        "Apptainer may not read or mount something that the run needs",
        "see that the SIF file and the folders can be read by you: ls -l; `nucseg doctor` looks closer",
    ),
]

_PODMAN_ERRORS: list[tuple[str, str, str]] = [
    (
        r"CDI|nvidia\.com/gpu",
        "Podman cannot give a GPU to a container",
        NO_CDI,
    ),
    (
        r"cgroups in hybrid mode|cgroup.*not supported",
        "Podman's runtime cannot work with the control groups of this machine",
        'install runc, and write runtime = "runc" below [engine] in /etc/containers/containers.conf',
    ),
    (
        r"rlimit",
        "Podman may not set the limits that it wants to set",
        'write default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"] below [containers] in containers.conf',
    ),
    (
        r"subuid|subgid|newuidmap|newgidmap",
        "this user has no range of user ids for containers",
        "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER, then: podman system migrate",
    ),
    (
        r"no space left on device",
        "the disk of Podman's images is full",
        "`podman system df` shows what fills it, `podman system prune` frees what is unused",
    ),
    (
        r"executable file.*not found|no such file or directory.*nucseg-run",
        "the image is not a nucseg image",
        "build or pull it again",
    ),
]

_ENGINE_ERRORS = {"docker": _DOCKER_ERRORS, "podman": _PODMAN_ERRORS, "apptainer": _APPTAINER_ERRORS}

_CRASHES: list[tuple[str, str, str]] = [
    (r"CUDA out of memory|OutOfMemoryError", "the GPU has too little memory", "use --device cpu, or a smaller volume"),
    (r"MemoryError|can't allocate memory|Unable to allocate", "out of memory", OUT_OF_MEMORY),
    (r"No space left on device|Errno 28", "the disk is full", "free some space, then run again with --resume"),
    (r"Read-only file system|Errno 30", "the output folder cannot be written to", "choose another output folder"),
]

_ERROR_LINE = re.compile(r"^error: (.*?)(?:(?:\. |\n +)try: (.*))?$", re.MULTILINE | re.IGNORECASE)
"""How every nucseg program says what went wrong: `NucsegError` as text, the hint behind it or below."""

_KILLED = 137

_EXIT_CODES: dict[int, tuple[str, str]] = {
    132: (
        "the processor lacks an instruction that the program needs (SIGILL)",
        "use a processor of 2013 or later (AVX2)",
    ),
    134: ("the program aborted (SIGABRT)", "read the log; run again with --device cpu to tell the GPU from the method"),
    135: (
        "it lost its memory (SIGBUS): a full disk or too little shared memory",
        "free some disk space, then --resume",
    ),
    139: ("the program crashed (SIGSEGV)", "read the log; run again with --device cpu to tell the GPU from the method"),
    125: ("the container could not be started", "read the log, and try `nucseg doctor`"),
    126: ("the image's program cannot be run", "build or pull the image again"),
    127: ("the image has no nucseg program", "build or pull the image again"),
    _KILLED: (
        "it was killed (SIGKILL): by someone, or by the system because the machine ran out of memory",
        "close other programs, then run the same command with --resume",
    ),
    143: ("it was told to stop from outside (SIGTERM)", "run the same command with --resume"),
    130: ("it was interrupted (SIGINT)", "run the same command with --resume"),
}


def explain_engine_error(text: str, engine: str = "docker") -> NucsegError:
    """What the engine's error message means to a user; ENVIRONMENT."""
    for pattern, cause, hint in _ENGINE_ERRORS[engine]:
        if re.search(pattern, text, re.IGNORECASE):
            return NucsegError(cause, hint, ENVIRONMENT)
    return NucsegError(f"the container engine says: {text.strip()}", "`nucseg doctor` looks closer", ENVIRONMENT)


def explain_ending(ending: Ending) -> NucsegError | None:
    """Why a container or process ended as it did, as an error with the launcher's exit code; None for 0.

    Exit codes 1, 2 and 3 are the method's own words and are passed on with its message; everything
    else means that it could not say anything any more: CONTAINER_FAILED.
    """
    if ending.exit_code == 0:
        return None
    # An OOM kill inside the container can hit a helper of the main program, which then ends with a code of its own.
    if ending.oom_killed:
        return NucsegError(_memory_cause(ending.memory_limit), OUT_OF_MEMORY, CONTAINER_FAILED)
    code = ending.exit_code if ending.exit_code in (FAILED_IMAGE, USAGE, ENVIRONMENT) else CONTAINER_FAILED
    said = error_lines(ending.errors)
    if said and code != CONTAINER_FAILED:
        return NucsegError(*said[-1], code)
    crash = _crash(ending.errors)
    if crash:
        return NucsegError(*crash, CONTAINER_FAILED)
    if ending.exit_code == _KILLED and ending.memory_limit:
        # Not every engine tells who killed it.
        cause = f"it was killed (SIGKILL), most likely at its limit of {size_text(ending.memory_limit)}"
        return NucsegError(cause, OUT_OF_MEMORY, CONTAINER_FAILED)
    if code == FAILED_IMAGE:
        return NucsegError("some images could not be segmented", "read what is said about each of them", code)
    cause, hint = _EXIT_CODES.get(ending.exit_code, (f"it ended with exit code {ending.exit_code}", "read the log"))
    return NucsegError(cause, hint, code)


def is_error_line(line: str) -> bool:
    """Whether a line of a method's output tells of a failure, or goes on to say what to try."""
    return line.startswith("error: ") or line.lstrip().lower().startswith("try: ")


def error_lines(text: str) -> list[tuple[str, str]]:
    """Cause and hint of every error that a method has told of.

    Examples
    --------
    >>> error_lines("error: b.tif: it is empty. Try: another file")
    [('b.tif: it is empty', 'another file')]
    """
    return _ERROR_LINE.findall(text)


def _memory_cause(limit: int | None) -> str:
    where = f"its limit of {size_text(limit)}" if limit else "the limit of the container engine"
    return f"out of memory: it reached {where} and was killed"


def _crash(errors: str) -> tuple[str, str] | None:
    """Cause and hint of a Python traceback that nobody caught."""
    if "Traceback (most recent call last)" not in errors:
        return None
    for pattern, cause, hint in _CRASHES:
        if re.search(pattern, errors):
            return cause, hint
    last = [line for line in errors.splitlines() if line.strip()][-1].strip()
    return f"the program failed unexpectedly: {last}", "read the log, and report it with the log"
