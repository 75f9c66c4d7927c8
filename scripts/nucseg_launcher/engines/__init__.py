"""What can run a method. One file per engine; `ENGINES` is the list of them."""

from collections.abc import Callable, Sequence

from nucseg.errors import NucsegError
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.engines.base import Engine


def _docker() -> Engine:
    from nucseg_launcher.engines.docker import DockerEngine

    return DockerEngine()


def _podman() -> Engine:
    from nucseg_launcher.engines.podman import PodmanEngine

    return PodmanEngine()


def _apptainer() -> Engine:
    from nucseg_launcher.engines.apptainer import ApptainerEngine

    return ApptainerEngine()


def _process() -> Engine:
    from nucseg_launcher.engines.process import ProcessEngine

    return ProcessEngine()


ENGINES: dict[str, Callable[[], Engine]] = {
    "docker": _docker,
    "podman": _podman,
    "apptainer": _apptainer,
    "process": _process,
}
"""Engines by the name that ``--engine`` takes; each is imported when it is asked for."""


def choose_engine(name: str | None, methods: Sequence[MethodEntry]) -> tuple[Engine, str]:
    """The engine called `name`; without a name, the one to take on this machine.

    That is docker where it answers; else podman or apptainer where it has the methods' images; else a plain process.

    Returns
    -------
    engine : Engine
    note : str
        One line that says why, when the choice was ours and not docker; else empty.
    """
    if name:
        return ENGINES[name](), ""
    docker = ENGINES["docker"]()
    try:
        docker.connect()
    except NucsegError as error:
        reason = error.cause
    else:
        return docker, ""
    other = without_docker(methods)
    how = (
        "without a container, as a plain process (--engine process)" if other == "process" else f"with --engine {other}"
    )
    return ENGINES[other](), f"Running {how}: {reason}."


def without_docker(methods: Sequence[MethodEntry]) -> str:
    """The engine to take where Docker doesn't answer: the first that has the methods' images."""
    others = ("podman", "apptainer", "process")
    return next(name for name in others if all(ENGINES[name]().has_image(method) for method in methods))
