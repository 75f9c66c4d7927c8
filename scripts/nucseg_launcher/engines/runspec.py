"""One container run as data, and Docker's two forms of it: the printed ``docker run`` line and the SDK call."""

import contextlib
import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucseg_launcher.engines.base import Job, Paths, arguments

RUN_LABEL = "org.nucseg.run"
OUT_LABEL = "org.nucseg.out"

VALIDATION = ("/val", "/val_gt")
"""Where a container finds the images and labels that a training is validated on."""

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
    image : str
        Name and tag, or the path of a SIF file.
    user : str
        "uid:gid"; an engine that always runs containers as the caller doesn't ask.
    groups : tuple of int
        Further groups of the caller, by which mounted files may be theirs to read or write.
    memory : int or None
        Limit in bytes.
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
    gpus: bool = False
    groups: tuple[int, ...] = ()


def make_spec(job: Job, *, image: str, user: str, gpus: bool) -> RunSpec:
    """Everything that is decided about the container of a job, the same for every container engine."""
    mounts = [Mount(job.in_dir, "/data")]
    if job.gt_dir:
        mounts.append(Mount(job.gt_dir, "/gt"))
    # /model is a folder of the image, onto which a file can't be mounted.
    model = "/model" if job.model is None or job.model.is_dir() else f"/model/{job.model.name}"
    if job.model:
        mounts.append(Mount(job.model, model))
    if job.validation:
        mounts += [Mount(folder, target) for folder, target in zip(job.validation, VALIDATION, strict=True)]
    mounts.append(Mount(job.folder.path, "/out", read_only=False))
    paths = Paths(
        "/data",
        "/out",
        "/gt" if job.gt_dir else None,
        model if job.model else None,
        VALIDATION if job.validation else None,
    )
    return RunSpec(
        name=f"nucseg-{job.method.name}-{job.id}",
        image=image,
        arguments=tuple(arguments(job, paths)),
        mounts=tuple(mounts),
        user=user,
        labels=((RUN_LABEL, job.id), (OUT_LABEL, str(job.folder.path))),
        memory=job.memory,
        gpus=gpus,
        # In a rootless engine the user is another one inside, and numbers of groups mean nothing there.
        groups=_groups_of(mounts) if user == caller() else (),
    )


def caller() -> str:
    """Who runs the launcher, as "uid:gid"."""
    return f"{os.getuid()}:{os.getgid()}"


def _groups_of(mounts: Sequence[Mount]) -> tuple[int, ...]:
    """Those of the caller's further groups that own a mounted folder, or what lies in it."""
    mine = set(os.getgroups()) - {os.getgid()}
    places = [path for mount in mounts for path in (mount.source, *_entries(mount.source))] if mine else []
    owners = set()
    for path in places:
        with contextlib.suppress(OSError):
            owners.add(path.stat().st_gid)
    return tuple(sorted(mine & owners))


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def command_words(spec: RunSpec) -> list[str]:
    """The ``docker run`` command, as separate words."""
    gpus = ["--gpus", "all"] if spec.gpus else []
    return ["docker", "run", "--rm", "--init", *option_words(spec), *gpus, spec.image, *spec.arguments]


def option_words(spec: RunSpec) -> list[str]:
    """What Docker and Podman are told in the same words."""
    words = ["--name", spec.name, "--user", spec.user, "--read-only"]
    words += ["--tmpfs", f"/tmp:{TMPFS_OPTIONS}", "--network", "none"]
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    for key, value in spec.labels:
        words += ["--label", f"{key}={value}"]
    for group in spec.groups:
        words += ["--group-add", str(group)]
    if spec.memory is not None:
        words += ["--memory", str(spec.memory)]
    for mount in spec.mounts:
        words += ["--mount", mount_word(mount)]
    return words


def mount_word(mount: Mount) -> str:
    """The value of ``--mount``, which Docker, Podman and Apptainer alike read as a line of CSV.

    Not ``-v``: a colon in a path would split it.
    """
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
    if spec.groups:
        options["group_add"] = [str(group) for group in spec.groups]
    if spec.memory is not None:
        options["mem_limit"] = spec.memory
    if spec.gpus:
        options["device_requests"] = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    return options
