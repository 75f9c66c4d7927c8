"""All findings about this machine, one after the other: `nucseg doctor` prints them as they come."""

from collections.abc import Iterator
from pathlib import Path

from nucseg.errors import NucsegError
from nucseg_launcher.catalogue import MethodEntry, list_methods
from nucseg_launcher.checks import Finding, engine, gpu, machine, programs
from nucseg_launcher.gpu import host_gpus


def examine(disk: Path) -> Iterator[Finding]:
    """Check everything.

    Parameters
    ----------
    disk : pathlib.Path
        Where results will go.
    """
    yield machine.check_python()
    yield machine.check_cores()
    yield machine.check_memory()
    yield machine.check_disk(disk)
    yield machine.check_user()
    gpus = host_gpus()
    yield gpu.check_host(gpus)
    methods = list_methods()
    yield from programs.check_podman(gpus)
    yield from programs.check_apptainer(methods)
    yield from _examine_engine(methods, gpus)


def _examine_engine(methods: list[MethodEntry], gpus: list[str]) -> Iterator[Finding]:
    try:
        yield from _examine_docker(methods, gpus)
    except NucsegError as error:
        yield engine.no_docker(error, methods)


def _examine_docker(methods: list[MethodEntry], gpus: list[str]) -> Iterator[Finding]:
    from nucseg_launcher.engines import docker_client

    client = docker_client.connect()
    info = docker_client.info_of(client)
    yield engine.check_version(info)
    yield engine.check_owner(info)
    yield engine.check_memory(info)
    yield from engine.check_disk(info)
    yield engine.check_nvidia(info, gpus)
    images = list(engine.check_images(client, methods))
    yield from images
    here = [method for method, finding in zip(methods, images, strict=True) if finding.severity == "ok"]
    has_gpu = docker_client.can_give_gpu(client, info)
    for method in here:
        device = "cuda" if has_gpu and engine.variant_of(client, method.image) == "cuda" else "cpu"
        yield gpu.probe(client, method.image, docker_client.container_user(info), device)
