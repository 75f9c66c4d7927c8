"""Checks of the GPU: on the host, and inside a container, where it counts."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from nucseg_launcher.causes import Ending, explain_ending, explain_engine_error
from nucseg_launcher.checks import Finding
from nucseg_launcher.engines.runspec import RunSpec, sdk_options
from nucseg_launcher.signals import held

if TYPE_CHECKING:
    from docker import DockerClient

PROBE_SECONDS = 120


def host_gpus() -> list[str]:
    """One line per NVIDIA GPU of this machine: name, driver, memory. Empty without a working driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def check_host(gpus: list[str]) -> Finding:
    """The GPUs of the machine, as `host_gpus` lists them."""
    if gpus:
        return Finding("ok", "GPU", "; ".join(gpus))
    if shutil.which("nvidia-smi"):
        return Finding(
            "warning", "GPU", "nvidia-smi finds no GPU", "reinstall the NVIDIA driver, then restart the machine"
        )
    return Finding("ok", "GPU", "no NVIDIA GPU (no driver): methods run on the CPU")


def probe(client: DockerClient, image: str, user: str, device: str) -> Finding:
    """Run the image's own ``--check`` in a container, on the CPU or with a GPU handed in."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

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
        with held():
            container = client.containers.create(**options)
        container.start()
        code = int(container.wait(timeout=PROBE_SECONDS)["StatusCode"])
        errors = container.logs(stdout=True, stderr=True).decode("utf-8", "replace")
        container.reload()
        failure = explain_ending(Ending(code, bool(container.attrs["State"]["OOMKilled"]), None, errors))
    except (DockerException, RequestException) as error:
        failure = explain_engine_error(getattr(error, "explanation", None) or str(error))
    finally:
        if container is not None:
            with held(forget=True):
                container.remove(force=True, v=True)
    topic = "container"
    if failure:
        return Finding("error", topic, f"{image} does not work on {device}: {failure.cause}", failure.hint)
    return Finding("ok", topic, f"{image} works on {device}")
