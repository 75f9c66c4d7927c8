"""The connection to the Docker engine, with errors that say what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nucseg_launcher.causes import explain_engine_error

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


def container_user(info: dict[str, Any]) -> str:
    """The "uid:gid" under which a container's files belong to the caller."""
    if any("name=rootless" in option for option in info.get("SecurityOptions") or []):
        # In a rootless engine, root inside the container is the caller outside.
        return "0:0"
    return f"{os.getuid()}:{os.getgid()}"
