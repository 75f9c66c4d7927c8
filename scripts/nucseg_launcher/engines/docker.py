"""Docker: one container per method, as the calling user, without network, removed whatever happens."""

from __future__ import annotations

import queue
import shlex
import threading
import time
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.catalogue import MethodEntry
from nucseg_launcher.causes import NO_GPU, explain_engine_error
from nucseg_launcher.checks import Finding
from nucseg_launcher.checks.links import outside_links
from nucseg_launcher.engines import docker_client
from nucseg_launcher.engines.base import Job, Outcome, Sample, Sink
from nucseg_launcher.engines.runspec import OUT_LABEL, RunSpec, command_words, make_spec, sdk_options
from nucseg_launcher.signals import held
from nucseg_launcher.units import size_text

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

STOP_SECONDS = 15
"""How long a stopped container may take to clean up before it is killed."""


class DockerEngine:
    """The Docker engine (or one that speaks its API), through the docker SDK."""

    name = "docker"

    @cached_property
    def _client(self) -> DockerClient:
        try:
            return docker_client.connect()
        except NucsegError as error:
            raise NucsegError(error.cause, f"{error.hint}; or use --engine process", error.exit_code) from error

    @cached_property
    def _info(self) -> dict[str, Any]:
        return docker_client.info_of(self._client)

    @cached_property
    def _has_gpu(self) -> bool:
        return docker_client.can_give_gpu(self._client, self._info)

    def connect(self) -> None:
        """Raise `NucsegError` (ENVIRONMENT) when no engine answers."""
        _ = self._client

    def has_image(self, method: MethodEntry) -> bool:
        """Whether the engine holds the method's image."""
        return docker_client.find_image(self._client, method.image) is not None

    def check(self, job: Job) -> list[Finding]:
        """The image must be here, and a GPU where one is asked for."""
        return [*self._check_image(job), *self._check_gpu(job), *self._check_memory(job), *outside_links(job)]

    def _check_image(self, job: Job) -> Iterator[Finding]:
        if not self.has_image(job.method):
            name = job.method.name
            remedy = f"nucseg build {name} makes it here, nucseg pull {name} downloads it"
            yield Finding("error", "image", f"the image {job.method.image} is not on this machine", remedy)

    def _check_gpu(self, job: Job) -> Iterator[Finding]:
        if job.device == "cuda" and not docker_client.has_nvidia_runtime(self._info):
            yield Finding("error", "GPU", "the container engine has no NVIDIA runtime, so no GPU can be used", NO_GPU)
        if job.device == "auto" and docker_client.has_nvidia_runtime(self._info) and not self._has_gpu:
            message = "the engine has the NVIDIA runtime, but nvidia-smi finds no GPU here: the CPU is used"
            yield Finding("warning", "GPU", message, "--device cuda, if there is one all the same")

    def _check_memory(self, job: Job) -> Iterator[Finding]:
        total = self._info.get("MemTotal", 0)
        if job.memory and total and job.memory > total:
            yield Finding(
                "warning",
                "memory",
                f"--memory {size_text(job.memory)} is more than the engine has ({size_text(total)})",
                "choose a smaller limit",
            )

    def spec(self, job: Job) -> RunSpec:
        """Everything that is decided about the container of a job."""
        gpus = job.device == "cuda" or (job.device == "auto" and self._has_gpu)
        user = docker_client.container_user(self._info)
        return make_spec(job, image=job.method.image, user=user, gpus=gpus)

    def line(self, job: Job) -> str:
        """The ``docker run`` command of a job."""
        return shlex.join(command_words(self.spec(job)))

    def identity(self, job: Job) -> dict[str, Any]:
        """Version of the engine, id and digest of the image."""
        with docker_client.explained():
            image = self._client.images.get(job.method.image)
        digests = image.attrs.get("RepoDigests") or [""]
        return {
            "engine_version": str(self._info.get("ServerVersion", "")),
            "image": job.method.image,
            "image_id": str(image.id),
            "image_digest": str(digests[0]),
            "image_size_bytes": image.attrs.get("Size"),
        }

    def run(self, job: Job, sink: Sink) -> Outcome:
        """Run the job's container to its end."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        with docker_client.explained():
            self._remove_leftovers(job, sink)
        spec = self.spec(job)
        container: Container | None = None
        try:
            with held():
                container = self._client.containers.create(**sdk_options(spec))
                # Attached before the start, so that not a single line is missed.
                output = container.attach(stdout=True, stderr=True, stream=True, demux=True)
                container.start()
            return self._follow(container, output, sink)
        except APIError as error:
            raise explain_engine_error(error.explanation or str(error)) from error
        except (DockerException, RequestException) as error:
            raise NucsegError(
                f"the container engine stopped answering ({error})",
                "restart it, then run again with --resume",
                ENVIRONMENT,
            ) from error
        finally:
            with held(forget=True):
                if container is not None:
                    docker_client.remove(container)

    def _follow(self, container: Container, output: Iterator[tuple[bytes | None, bytes | None]], sink: Sink) -> Outcome:
        """Hand on what the container prints until it ends; stop it when we are interrupted."""
        pieces: queue.SimpleQueue[tuple[bytes | None, bytes | None] | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(output, pieces), daemon=True)
        reader.start()
        sampler = threading.Thread(target=_sample, args=(container.id, sink), daemon=True)
        sampler.start()
        try:
            _forward(pieces, sink)
            exit_code = int(container.wait()["StatusCode"])
        except KeyboardInterrupt:
            with held(forget=True):
                container.stop(timeout=STOP_SECONDS)
                _forward(pieces, sink)
            raise
        finally:
            sampler.join(timeout=2)
        container.reload()
        return Outcome(exit_code, oom_killed=bool(container.attrs["State"]["OOMKilled"]))

    def _remove_leftovers(self, job: Job, sink: Sink) -> None:
        """Remove containers that still write to this folder: their launcher was killed.

        The folder is locked by now, so that no living launcher can own them.
        """
        label = {"label": f"{OUT_LABEL}={job.folder.path}"}
        for container in self._client.containers.list(all=True, filters=label, ignore_removed=True):
            sink.out(f"removing {container.name}, which a launcher that was killed has left\n".encode())
            docker_client.remove(container)


def _read(output: Iterator[Any], pieces: queue.SimpleQueue[Any]) -> None:
    try:
        for piece in output:
            pieces.put(piece)
    finally:
        pieces.put(None)


def _forward(pieces: queue.SimpleQueue[Any], sink: Sink) -> None:
    while (piece := pieces.get()) is not None:
        out, err = piece
        if out:
            sink.out(out)
        if err:
            sink.err(err)
    # Whoever asks again after the end finds the end again.
    pieces.put(None)


def _sample(container_id: str, sink: Sink) -> None:
    """Memory and CPU, about once a second, over a connection of its own."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    started = time.monotonic()
    try:
        client = docker_client.connect()
        for stats in client.api.stats(container_id, decode=True, stream=True):
            sample = read_stats(stats, time.monotonic() - started)
            if sample:
                sink.sample(sample)
    except (DockerException, RequestException, NucsegError, ValueError):
        # Measuring must never end a run; the container ends it.
        return


def read_stats(stats: dict[str, Any], seconds: float) -> Sample | None:
    """One answer of the engine's stats API as a `Sample`; None before the start and after the end.

    The page cache is not counted: like ``docker stats``, inactive file pages are taken off.
    """
    memory = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    now, before = stats.get("cpu_stats") or {}, stats.get("precpu_stats") or {}
    used = now["cpu_usage"]["total_usage"] - before.get("cpu_usage", {}).get("total_usage", 0)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    # The first answer has nothing to compare with.
    known = passed > 0 and bool(before.get("system_cpu_usage"))
    cores = now.get("online_cpus", 1)
    return Sample(seconds, max(0, memory["usage"] - cache), 100.0 * cores * used / passed if known else 0.0)
