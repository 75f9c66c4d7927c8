"""The connection to the Docker engine, with errors that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nucseg_launcher.causes import explain_engine_error
from nucseg_launcher.checks.gpu import host_gpus
from nucseg_launcher.engines.runspec import caller

if TYPE_CHECKING:
    from docker import DockerClient

CONNECT_SECONDS = 60
"""A busy engine answers late; one that is not there refuses the connection at once."""


def connect() -> DockerClient:
    """A client of the engine that the `docker` command would use (``DOCKER_HOST``, contexts).

    Raises
    ------
    NucsegError
        ENVIRONMENT: no engine answers, or it doesn't let this user in.
    """
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        client = docker.from_env(timeout=CONNECT_SECONDS, version="auto")
        client.ping()
    except (DockerException, RequestException) as error:
        raise explain_engine_error(str(error)) from error
    return client


def has_nvidia_runtime(info: dict[str, Any]) -> bool:
    """Whether the engine can hand NVIDIA GPUs to a container; `info` is ``client.info()``."""
    devices = info.get("DiscoveredDevices") or []
    return "nvidia" in (info.get("Runtimes") or {}) or any("nvidia.com/gpu" in str(d.get("ID")) for d in devices)


def can_give_gpu(client: DockerClient, info: dict[str, Any]) -> bool:
    """Whether a container can have a GPU: the engine has the runtime and, as far as we can see, a GPU.

    A runtime without a working driver would not even start the container.
    """
    is_local = client.api.base_url.startswith("http+docker://local")
    return has_nvidia_runtime(info) and (not is_local or bool(host_gpus()))


def container_user(info: dict[str, Any]) -> str:
    """The "uid:gid" under which a container's files belong to the caller."""
    if any("name=rootless" in option for option in info.get("SecurityOptions") or []):
        # In a rootless engine, root inside the container is the caller outside.
        return "0:0"
    return caller()
