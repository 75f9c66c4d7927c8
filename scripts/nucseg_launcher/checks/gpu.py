"""Checks of the GPU: on the host, and inside a container, where it counts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from nucseg.errors import NucsegError
from nucseg_launcher.causes import Ending, explain_ending
from nucseg_launcher.checks import Finding
from nucseg_launcher.engines.docker_client import explained, remove
from nucseg_launcher.engines.runspec import RunSpec, sdk_options
from nucseg_launcher.signals import held

if TYPE_CHECKING:
    from docker import DockerClient

PROBE_SECONDS = 120


def check_host(gpus: list[str]) -> Finding:
    """The GPUs of the machine, as `nucseg_launcher.gpu.host_gpus` lists them."""
    if gpus:
        return Finding("ok", "GPU", "; ".join(gpus))
    if shutil.which("nvidia-smi"):
        return Finding(
            "warning", "GPU", "nvidia-smi finds no GPU", "reinstall the NVIDIA driver, then restart the machine"
        )
    return Finding("ok", "GPU", "no NVIDIA GPU (no driver): methods run on the CPU")


def probe(client: DockerClient, image: str, user: str, device: str) -> Finding:
    """Run the image's own ``--check`` in a container, on the CPU or with a GPU handed in."""
    spec = RunSpec(
        name="",
        image=image,
        arguments=("--check", "--device", device),
        mounts=(),
        user=user,
        labels=(("org.nucseg.run", "doctor"),),
        gpus=device == "cuda",
    )
    options = sdk_options(spec)
    # The engine makes a name up; nobody needs to find this container again.
    del options["name"]
    container = None
    try:
        with explained():
            with held():
                container = client.containers.create(**options)
            container.start()
            code = int(container.wait(timeout=PROBE_SECONDS)["StatusCode"])
            errors = container.logs(stdout=True, stderr=True).decode("utf-8", "replace")
            container.reload()
            failure = explain_ending(Ending(code, bool(container.attrs["State"]["OOMKilled"]), None, errors))
    except NucsegError as error:
        failure = error
    finally:
        if container is not None:
            with held(forget=True):
                remove(container)
    topic = "container"
    if failure:
        return Finding("error", topic, f"{image} does not work on {device}: {failure.cause}", failure.hint)
    return Finding("ok", topic, f"{image} works on {device}")
