"""One container run as data. The printed ``docker run`` line and the SDK call are both made from it."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TMPFS_OPTIONS = "rw,exec,nosuid,nodev,size=2g,mode=1777"
"""/tmp is the only writable place besides /out: caches, and compiled kernels, which must be executable.

It counts as the container's memory only as far as it is used.
"""


@dataclass(frozen=True)
class Mount:
    """A folder of the host at a fixed place in the container."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class RunSpec:
    """Everything that is decided about one container.

    Attributes
    ----------
    user : str
        "uid:gid".
    memory, shared_memory : int or None
        Limit of the container and size of its /dev/shm, in bytes; None takes the engine's default.
    gpus : bool
        Hand all GPUs in.
    """

    name: str
    image: str
    arguments: tuple[str, ...]
    mounts: tuple[Mount, ...]
    user: str
    labels: tuple[tuple[str, str], ...]
    memory: int | None = None
    shared_memory: int | None = None
    gpus: bool = False


def command_words(spec: RunSpec) -> list[str]:
    """The ``docker run`` command, as separate words."""
    words = ["docker", "run", "--rm", "--name", spec.name, "--init", "--user", spec.user, "--read-only"]
    words += ["--tmpfs", f"/tmp:{TMPFS_OPTIONS}", "--network", "none"]
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    for key, value in spec.labels:
        words += ["--label", f"{key}={value}"]
    if spec.memory is not None:
        words += ["--memory", str(spec.memory)]
    if spec.shared_memory is not None:
        words += ["--shm-size", str(spec.shared_memory)]
    if spec.gpus:
        words += ["--gpus", "all"]
    for mount in spec.mounts:
        words += ["--mount", _mount_word(mount)]
    return [*words, spec.image, *spec.arguments]


def _mount_word(mount: Mount) -> str:
    # Not -v: a colon in a path would split it. Docker reads this word as a line of CSV.
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    if mount.read_only:
        fields.append("readonly")
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def sdk_options(spec: RunSpec) -> dict[str, Any]:
    """Keyword arguments of ``client.containers.create`` for the same container.

    Only ``--rm`` has no counterpart: the state is read before we remove the container ourselves.
    """
    from docker.types import DeviceRequest
    from docker.types import Mount as SdkMount

    options: dict[str, Any] = {
        "image": spec.image,
        "command": list(spec.arguments),
        "name": spec.name,
        "init": True,
        "user": spec.user,
        "read_only": True,
        "tmpfs": {"/tmp": TMPFS_OPTIONS},
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "labels": dict(spec.labels),
        "mounts": [SdkMount(m.target, str(m.source), type="bind", read_only=m.read_only) for m in spec.mounts],
    }
    if spec.memory is not None:
        options["mem_limit"] = spec.memory
    if spec.shared_memory is not None:
        options["shm_size"] = spec.shared_memory
    if spec.gpus:
        options["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    return options
