"""Checks of the container engine and of the images in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucseg_launcher.catalogue import MethodEntry, find_root
from nucseg_launcher.checks import Finding
from nucseg_launcher.checks.machine import GB, disk_finding
from nucseg_launcher.engines import without_docker
from nucseg_launcher.engines.docker_client import container_user, find_image, has_nvidia_runtime
from nucseg_launcher.units import size_text

if TYPE_CHECKING:
    from docker import DockerClient

    from nucseg.errors import NucsegError

VARIANT_LABEL = "org.nucseg.variant"

_HOW = {"podman": "Podman", "apptainer": "Apptainer", "process": "a plain process (--engine process)"}

OLDEST_ENGINE = (20, 10)
"""First version whose API and BuildKit the project is tested with."""


def no_docker(error: NucsegError, methods: list[MethodEntry]) -> Finding:
    """Docker does not answer, or doesn't let this user in: which engines `nucseg run` takes then."""
    taken: dict[str, list[str]] = {}
    for method in methods:
        taken.setdefault(without_docker([method]), []).append(method.name)
    if find_root() is None:
        taken.pop("process", None)
    words = [
        f"{_HOW[name]} for {'all methods' if names == [m.name for m in methods] else ', '.join(names)}"
        for name, names in sorted(taken.items(), key=lambda item: list(_HOW).index(item[0]))
    ]
    message = f"{error.cause}; nucseg run takes {' and '.join(words)}" if words else error.cause
    return Finding("warning" if taken.keys() - {"process"} else "error", "Docker", message, error.hint)


def check_version(info: dict[str, Any]) -> Finding:
    """Which engine answers."""
    version = str(info.get("ServerVersion", "unknown"))
    message = f"Docker {version} on {info.get('OperatingSystem', 'an unknown system')}"
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if len(numbers) == 2 and tuple(numbers) < OLDEST_ENGINE:
        return Finding("warning", "Docker", f"{message}, older than 20.10", "update it")
    return Finding("ok", "Docker", message)


def check_owner(info: dict[str, Any]) -> Finding:
    """As whom the containers run."""
    return Finding("ok", "containers", f"run as {container_user(info)}, without network, on a read-only system")


def check_memory(info: dict[str, Any]) -> Finding:
    """Memory that containers can have; less than the machine's in a virtual machine such as Docker Desktop's."""
    total = int(info.get("MemTotal") or 0)
    message = f"{size_text(total)} for containers, {info.get('NCPU', '?')} cores"
    if info.get("MemoryLimit") is False:
        return Finding("warning", "containers", f"{message}; memory limits do not work", "enable the memory cgroup")
    if total < 4 * GB:
        return Finding("warning", "containers", message, "give the engine more memory (in Docker Desktop: Resources)")
    return Finding("ok", "containers", message)


def check_disk(info: dict[str, Any]) -> Iterator[Finding]:
    """Space for images, where the engine keeps them on a disk that we can see."""
    root = Path(str(info.get("DockerRootDir", "")))
    if root.is_absolute() and root.is_dir():
        yield disk_finding("engine disk", root)


def check_nvidia(info: dict[str, Any], gpus: list[str]) -> Finding:
    """Whether the engine can hand in a GPU; `gpus` are those of the host."""
    if has_nvidia_runtime(info):
        return Finding("ok", "GPU", "the engine has the NVIDIA runtime")
    if gpus:
        return Finding(
            "warning",
            "GPU",
            "the engine cannot hand the GPU to containers: the CPU will be used",
            "install the NVIDIA container toolkit; sudo nvidia-ctk runtime configure; sudo systemctl restart docker",
        )
    return Finding("ok", "GPU", "the engine has no NVIDIA runtime, and needs none here")


def check_images(client: DockerClient, methods: list[MethodEntry]) -> Iterator[Finding]:
    """Which method images are here."""
    for method in methods:
        image = find_image(client, method.image)
        if image is None:
            remedy = f"nucseg build {method.name}, or nucseg pull {method.name}"
            yield Finding("warning", "image", f"{method.image} is not here", remedy)
            continue
        variant = image.labels.get(VARIANT_LABEL, "unknown")
        size = image.attrs.get("Size", 0) / 1e9
        yield Finding("ok", "image", f"{method.image}, variant {variant}, {size:.1f} GB, {image.short_id}")


def variant_of(client: DockerClient, image: str) -> str:
    """Whether an image that is here was built for "cpu" or "cuda"; empty when it doesn't say."""
    found = find_image(client, image)
    return str(found.labels.get(VARIANT_LABEL, "")) if found else ""
