"""No container: the same program as a plain process of this machine, from this Python environment."""

import contextlib
import os
import queue
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.catalogue import require_root
from nucseg_launcher.checks import Finding
from nucseg_launcher.engines.base import Job, Outcome, Paths, Sample, Sink, arguments
from nucseg_launcher.signals import held

STOP_SECONDS = 15
SAMPLE_SECONDS = 1.0


class ProcessEngine:
    """Runs ``python -m nucseg.app``, which is also the images' entrypoint."""

    name = "process"

    def connect(self) -> None:
        """Raise `NucsegError` (ENVIRONMENT) when the methods' code is not here."""
        require_root("Running without a container")

    def check(self, job: Job) -> list[Finding]:
        """The repository must be here; a memory limit needs a container."""
        try:
            self.connect()
        except NucsegError as error:
            return [Finding("error", "engine", error.cause, error.hint)]
        if job.memory:
            return [
                Finding("error", "memory", "--memory needs a container engine", "leave it out, or use --engine docker")
            ]
        return []

    def _environment(self, job: Job) -> dict[str, str]:
        return {"NUCSEG_METHOD": job.method.name, "NUCSEG_ROOT": str(require_root("Running without a container"))}

    def _words(self, job: Job) -> list[str]:
        paths = Paths(
            str(job.in_dir),
            str(job.folder.path),
            str(job.gt_dir) if job.gt_dir else None,
            str(job.model) if job.model else None,
            (str(job.validation[0]), str(job.validation[1])) if job.validation else None,
        )
        return [sys.executable, "-m", "nucseg.app", *arguments(job, paths)]

    def line(self, job: Job) -> str:
        """The command of a job, with the two variables that it needs."""
        variables = [f"{name}={shlex.quote(value)}" for name, value in self._environment(job).items()]
        return " ".join([*variables, shlex.join(self._words(job))])

    def identity(self, job: Job) -> dict[str, str]:
        """The Python that runs the method."""
        return {"engine_version": f"Python {sys.version.split()[0]}", "python": sys.executable}

    def run(self, job: Job, sink: Sink) -> Outcome:
        """Run the job's process to its end."""
        process: subprocess.Popen[bytes] | None = None
        try:
            with held():
                try:
                    process = subprocess.Popen(
                        self._words(job),
                        env={**os.environ, **self._environment(job)},
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        # A group of its own: a Ctrl-C reaches it once, from us.
                        start_new_session=True,
                        # It shares our lock on the output folder, in case we are killed and it lives on.
                        close_fds=False,
                    )
                except OSError as error:
                    raise NucsegError(
                        f"Python cannot be started ({error})", "run `make setup` again", ENVIRONMENT
                    ) from error
            return self._follow(process, sink)
        finally:
            with held(forget=True):
                if process is not None:
                    _kill(process)

    def _follow(self, process: subprocess.Popen[bytes], sink: Sink) -> Outcome:
        assert process.stdout
        assert process.stderr
        pieces: queue.SimpleQueue[tuple[bool, bytes]] = queue.SimpleQueue()
        is_open = {False, True}
        for stream, is_error in ((process.stdout, False), (process.stderr, True)):
            threading.Thread(target=_read, args=(stream, is_error, pieces), daemon=True).start()
        threading.Thread(target=_sample, args=(process, sink), daemon=True).start()
        try:
            _forward(process, pieces, is_open, sink)
            code = process.wait()
        except KeyboardInterrupt:
            with held(forget=True):
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    _kill(process)
                _forward(process, pieces, is_open, sink)
            raise
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        # Linux counts in KiB, macOS in bytes.
        peak_bytes = peak if sys.platform == "darwin" else peak * 1024
        return Outcome(code if code >= 0 else 128 - code, peak_memory=peak_bytes)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process and of its workers."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(stream: IO[bytes], is_error: bool, pieces: queue.SimpleQueue[Any]) -> None:
    while piece := os.read(stream.fileno(), 65536):
        pieces.put((is_error, piece))
    pieces.put((is_error, b""))


def _forward(process: subprocess.Popen[bytes], pieces: queue.SimpleQueue[Any], is_open: set[bool], sink: Sink) -> None:
    """Hand on both streams until both have ended; an empty piece is an end."""
    while is_open:
        try:
            is_error, piece = pieces.get(timeout=SAMPLE_SECONDS)
        except queue.Empty:
            if process.poll() is not None:
                # It is gone, and a worker that it left behind holds the pipes.
                _kill(process)
            continue
        if not piece:
            is_open.discard(is_error)
        elif is_error:
            sink.err(piece)
        else:
            sink.out(piece)


def _sample(process: subprocess.Popen[bytes], sink: Sink) -> None:
    """Memory and CPU of the process and its children, where /proc tells them."""
    started = before = time.monotonic()
    cpu_before = 0.0
    while process.poll() is None:
        usage = _usage(process.pid)
        if usage is None:
            return
        now, (memory, cpu) = time.monotonic(), usage
        sink.sample(Sample(now - started, memory, max(0.0, 100.0 * (cpu - cpu_before) / max(now - before, 1e-3))))
        before, cpu_before = now, cpu
        time.sleep(SAMPLE_SECONDS)


def _usage(pid: int) -> tuple[int, float] | None:
    """Resident bytes and CPU seconds of a process and its descendants; None where there is no /proc."""
    memory, cpu = 0, 0.0
    waiting = [pid]
    while waiting:
        number = waiting.pop()
        folder = Path(f"/proc/{number}")
        try:
            fields = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
            waiting += [int(word) for word in (folder / f"task/{number}/children").read_text("ascii").split()]
        except OSError:
            if number == pid:
                return None
            continue
        # proc(5): fields 14 and 15 are user and system ticks, 24 the resident pages; two were cut off.
        cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        memory += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return memory, cpu
