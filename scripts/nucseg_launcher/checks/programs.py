"""Checks of the engines that are programs: Podman and Apptainer. Nobody needs them who has Docker."""

from __future__ import annotations

from collections.abc import Iterator

from nucseg.errors import NucsegError
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.causes import NO_CDI
from nucseg_launcher.checks import Finding
from nucseg_launcher.engines.apptainer import ApptainerEngine, check_start
from nucseg_launcher.engines.podman import PodmanEngine, has_gpu_description
from nucseg_launcher.engines.sif import sif_file, sif_folder
from nucseg_launcher.units import count_text


def _reason_against(engine: PodmanEngine | ApptainerEngine) -> NucsegError | None:
    try:
        engine.connect()
    except NucsegError as error:
        return error
    return None


def _not_working(engine: PodmanEngine | ApptainerEngine, error: NucsegError) -> Finding:
    if "not installed" in error.cause:
        return Finding("ok", engine.name, "not installed, and needed only by --engine " + engine.name, error.hint)
    return Finding("warning", engine.name, error.cause, error.hint)


def check_podman(gpus: list[str]) -> Iterator[Finding]:
    """Whether Podman works, and with the GPUs of the host where there are any."""
    engine = PodmanEngine()
    error = _reason_against(engine)
    if error:
        yield _not_working(engine, error)
        return
    yield Finding("ok", engine.name, engine.description)
    if gpus and not has_gpu_description():
        yield Finding("warning", engine.name, "it cannot hand the GPU to containers: the CPU will be used", NO_CDI)


def check_apptainer(methods: list[MethodEntry]) -> Iterator[Finding]:
    """Whether Apptainer is here, which methods' files it has, and whether one of them starts."""
    engine = ApptainerEngine()
    error = _reason_against(engine)
    if error:
        yield _not_working(engine, error)
        return
    here = [path for method in methods if (path := sif_file(method)).is_file()]
    missing = [method.name for method in methods if sif_file(method) not in here]
    remedy = f"nucseg sif {' '.join(missing)}" if missing else ""
    files = f"{len(here)} of {count_text(len(methods), 'method')} in {sif_folder()}"
    yield Finding("ok", engine.name, f"{engine.version}, {files}", remedy)
    if here:
        yield from check_start(here[0], memory=None)
