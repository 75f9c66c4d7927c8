"""Podman, through its own program: rootless or as root, with the words that Docker gets."""

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.causes import NO_CDI, explain_engine_error
from nucseg_launcher.checks import Finding
from nucseg_launcher.checks.links import outside_links
from nucseg_launcher.engines.base import Job, Outcome, Sink
from nucseg_launcher.engines.child import run_child
from nucseg_launcher.engines.runspec import OUT_LABEL, RunSpec, caller, make_spec, option_words
from nucseg_launcher.signals import held

CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where the NVIDIA container toolkit describes the GPUs to Podman."""

NOT_STARTED = (125, 126, 127)


def command_words(spec: RunSpec, *, rootless: bool) -> list[str]:
    """The ``podman run`` command, as separate words."""
    options = option_words(replace(spec, groups=()) if rootless else spec)
    words = ["podman", "run", "--rm", "--pull", "never", *options]
    # On a system with SELinux, the folders of a user could not be read without.
    words += ["--security-opt", "label=disable"]
    if rootless:
        # Else the user would be another one outside.
        words += ["--userns", "keep-id"]
        # Inside, the numbers of the caller's groups are not known.
        words += ["--group-add", "keep-groups"] if spec.groups else []
    if spec.gpus:
        words += ["--device", "nvidia.com/gpu=all"]
    return [*words, spec.image, *spec.arguments]


def has_gpu_description() -> bool:
    """Whether the GPUs of this machine are described for Podman."""
    return any(path for folder in CDI_FOLDERS for path in folder.glob("*nvidia*"))


class PodmanEngine:
    """The program ``podman``."""

    name = "podman"

    def connect(self) -> None:
        """Raise `NucsegError` (ENVIRONMENT) when it is not installed or does not work for this user."""
        _ = self._info

    @cached_property
    def _info(self) -> dict[str, Any]:
        if not shutil.which("podman"):
            raise NucsegError(
                "Podman is not installed",
                "install it (apt-get install podman), or choose another --engine",
                ENVIRONMENT,
            )
        done = _podman("info", "--format", "json")
        if done.returncode:
            raise explain_engine_error(done.stderr, self.name)
        info: dict[str, Any] = json.loads(done.stdout)
        return info

    @property
    def _is_rootless(self) -> bool:
        return bool(self._info["host"]["security"]["rootless"])

    @property
    def description(self) -> str:
        """Which Podman this is, and how it runs containers."""
        kind = "rootless" if self._is_rootless else "as root"
        return f"Podman {self._info['version']['Version']}, {kind}, cgroup {self._info['host']['cgroupVersion']}"

    def has_image(self, method: MethodEntry) -> bool:
        """Whether Podman is installed and holds the method's image for this user."""
        return bool(shutil.which("podman")) and _podman("image", "exists", method.image).returncode == 0

    def check(self, job: Job) -> list[Finding]:
        """The image must be here, and a GPU and a memory limit possible where they are asked for."""
        return [*self._check_image(job), *self._check_gpu(job), *self._check_memory(job), *outside_links(job)]

    def _check_image(self, job: Job) -> Iterator[Finding]:
        if not self.has_image(job.method):
            remedy = f"docker save {job.method.image} | podman load, or podman pull {job.method.image}"
            yield Finding("error", "image", f"Podman does not have the image {job.method.image}", remedy)

    def _check_gpu(self, job: Job) -> Iterator[Finding]:
        if job.device == "cuda" and not has_gpu_description():
            yield Finding("error", "GPU", "no GPU is described for Podman, so none can be used", NO_CDI)

    def _check_memory(self, job: Job) -> Iterator[Finding]:
        # Podman itself only warns of it, and runs the container without a limit.
        if job.memory and self._is_rootless and self._info["host"]["cgroupVersion"] == "v1":
            yield Finding(
                "error",
                "memory",
                "rootless Podman cannot limit memory on this machine (cgroup v1)",
                "leave --memory out, or boot with systemd.unified_cgroup_hierarchy=1",
            )

    def spec(self, job: Job) -> RunSpec:
        """Everything that is decided about the container of a job."""
        gpus = job.device == "cuda" or (job.device == "auto" and has_gpu_description())
        spec = make_spec(job, image=job.method.image, user=caller(), gpus=gpus)
        can_keep = not self._is_rootless or self._info["host"]["ociRuntime"]["name"] == "crun"
        return spec if can_keep else replace(spec, groups=())

    def _words(self, job: Job) -> list[str]:
        return command_words(self.spec(job), rootless=self._is_rootless)

    def line(self, job: Job) -> str:
        """The ``podman run`` command of a job."""
        return shlex.join(self._words(job))

    def identity(self, job: Job) -> dict[str, str]:
        """Version of Podman, id and digest of the image."""
        image = json.loads(_podman("image", "inspect", job.method.image).stdout)[0]
        return {
            "engine_version": str(self._info["version"]["Version"]),
            "image": job.method.image,
            "image_id": f"sha256:{image['Id']}",
            "image_digest": str(image.get("Digest", "")),
        }

    def run(self, job: Job, sink: Sink) -> Outcome:
        """Run the job's container to its end."""
        _remove_leftovers(job, sink)
        name = self.spec(job).name
        words = self._words(job)
        # Kept until its state has been read, and removed below.
        words.remove("--rm")
        try:
            with tempfile.TemporaryDirectory(prefix=name) as folder:
                ended = run_child(
                    words, sink, folder=Path(folder), main_process=lambda: int(_state(name).get("Pid", 0))
                )
                # With cgroup v1, Podman's monitor leaves this file in its folder, and the state says nothing.
                oom_killed = (Path(folder) / "oom").exists() or bool(_state(name).get("OOMKilled"))
        except OSError as error:
            raise explain_engine_error(str(error), self.name) from error
        finally:
            with held(forget=True):
                _podman("rm", "--force", "--volumes", name)
        if ended.exit_code in NOT_STARTED and "Error:" in ended.errors:
            raise explain_engine_error(ended.errors.rpartition("Error:")[2], self.name)
        return Outcome(ended.exit_code, oom_killed=oom_killed)


def _podman(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["podman", *words], capture_output=True, text=True, check=False)


def _state(name: str) -> dict[str, Any]:
    """What Podman knows of a container; nothing before there is one."""
    done = _podman("inspect", "--format", "{{json .State}}", name)
    state: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return state


def _remove_leftovers(job: Job, sink: Sink) -> None:
    """Remove containers that still write to this folder: their launcher was killed."""
    label = f"label={OUT_LABEL}={job.folder.path}"
    for name in _podman("ps", "--all", "--filter", label, "--format", "{{.Names}}").stdout.split():
        sink.out(f"removing {name}, which a launcher that was killed has left\n".encode())
        _podman("rm", "--force", "--volumes", name)
