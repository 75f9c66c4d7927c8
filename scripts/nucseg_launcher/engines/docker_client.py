"""The connection to the Docker engine, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from nucseg.errors import NucsegError
from nucseg_launcher.catalogue import find_root
from nucseg_launcher.causes import explain_engine_error
from nucseg_launcher.engines.runspec import caller
from nucseg_launcher.gpu import host_gpus

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

CONNECT_SECONDS = 60
"""A busy engine answers late; one that is not there refuses the connection at once."""


def connect(timeout: int = CONNECT_SECONDS) -> DockerClient:
    """A client of the engine that the `docker` command would use (``DOCKER_HOST``, contexts).

    Parameters
    ----------
    timeout : int
        Seconds to wait for each piece of an answer.

    Raises
    ------
    NucsegError
        ENVIRONMENT: no engine answers, or it doesn't let this user in.
    """
    import docker

    with explained():
        client = docker.from_env(timeout=timeout, version="auto")
        client.ping()
    return client


def required(timeout: int = CONNECT_SECONDS) -> DockerClient:
    """`connect`, for what only Docker can do and nobody needs who segments without containers."""
    try:
        return connect(timeout)
    except NucsegError as error:
        instead = "; or segment without an image: nucseg run METHOD IN OUT --engine process" if find_root() else ""
        raise NucsegError(error.cause, error.hint + instead, error.exit_code) from error


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the SDK raises where the engine fails, or answers too late, into a message (ENVIRONMENT)."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        raise explain_engine_error(getattr(error, "explanation", None) or str(error)) from error


def info_of(client: DockerClient) -> dict[str, Any]:
    """What the engine says of itself."""
    with explained():
        info: dict[str, Any] = client.info()
    return info


def find_image(client: DockerClient, name: str) -> Image | None:
    """An image that the engine holds; None where it doesn't."""
    from docker.errors import ImageNotFound

    with explained():
        try:
            return client.images.get(name)
        except ImageNotFound:
            return None


def remove(container: Container) -> None:
    """Remove a container, whatever its state."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    # Where it is gone already, or the engine is, the next run on its folder looks for it by its label.
    with suppress(DockerException, RequestException):
        container.remove(force=True, v=True)


def has_nvidia_runtime(info: dict[str, Any]) -> bool:
    """Whether the engine can hand NVIDIA GPUs to a container; `info` is that of `info_of`."""
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
