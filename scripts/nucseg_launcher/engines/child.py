"""A program as our child: what it prints and uses is handed on, and nothing of it stays behind."""

import contextlib
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nucseg_launcher.engines.base import Sample, Sink
from nucseg_launcher.signals import held

STOP_SECONDS = 15
SAMPLE_SECONDS = 1.0
_TAIL = 4000


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes
    ----------
    exit_code : int
        128 + n when signal n ended it.
    errors : str
        The end of what it wrote on stderr.
    peak_memory : int or None
        Bytes of its largest process; None when a child of ours that ended earlier had a larger one.
    """

    exit_code: int
    errors: str
    peak_memory: int | None


def run_child(
    words: Sequence[str],
    sink: Sink,
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    main_process: Callable[[], int | None] | None = None,
) -> Ended:
    """Run a program to its end; when we are interrupted it is asked to stop, and killed if it doesn't.

    Parameters
    ----------
    words : sequence of str
    sink : Sink
    environment : mapping, optional
        Variables besides our own.
    folder : pathlib.Path, optional
        Where it runs; by default in our own current folder.
    main_process : callable, optional
        Number of the process whose tree is measured, None while it is not known; by default the child's.

    Raises
    ------
    OSError
        It cannot be started.
    Interrupted
        After it has ended.
    """
    process: subprocess.Popen[bytes] | None = None
    largest_before = _largest_child()
    try:
        with held():
            process = subprocess.Popen(
                words,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # A group of its own: a Ctrl-C reaches it once, from us.
                start_new_session=True,
                # It shares our lock on the output folder, in case we are killed and it lives on.
                close_fds=False,
            )
        code, errors = _follow(process, sink, main_process or (lambda: process.pid))
        peak = _largest_child()
        return Ended(code, errors, peak if peak > largest_before else None)
    finally:
        with held(forget=True):
            if process is not None:
                _kill(process)


def _follow(process: subprocess.Popen[bytes], sink: Sink, main_process: Callable[[], int | None]) -> tuple[int, str]:
    """Exit code and the end of stderr."""
    assert process.stdout
    assert process.stderr
    pieces: queue.SimpleQueue[tuple[bool, bytes]] = queue.SimpleQueue()
    is_open = {False, True}
    tail = bytearray()
    for stream, is_error in ((process.stdout, False), (process.stderr, True)):
        threading.Thread(target=_read, args=(stream, is_error, pieces), daemon=True).start()
    threading.Thread(target=_sample, args=(process, main_process, sink), daemon=True).start()
    try:
        _forward(process, pieces, is_open, sink, tail)
        code = process.wait()
    except KeyboardInterrupt:
        with held(forget=True):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _kill(process)
            _forward(process, pieces, is_open, sink, tail)
        raise
    return code if code >= 0 else 128 - code, tail.decode("utf-8", "replace")


def _largest_child() -> int:
    """Bytes of the largest process among all our children that have ended."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process and of its workers."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(stream: IO[bytes], is_error: bool, pieces: queue.SimpleQueue[Any]) -> None:
    while piece := os.read(stream.fileno(), 65536):
        pieces.put((is_error, piece))
    pieces.put((is_error, b""))


def _forward(
    process: subprocess.Popen[bytes],
    pieces: queue.SimpleQueue[Any],
    is_open: set[bool],
    sink: Sink,
    tail: bytearray,
) -> None:
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
            tail += piece
            del tail[:-_TAIL]
            sink.err(piece)
        else:
            sink.out(piece)


def _sample(process: subprocess.Popen[bytes], main_process: Callable[[], int | None], sink: Sink) -> None:
    """Memory and CPU of a process and its children, where /proc tells them."""
    started = before = time.monotonic()
    cpu_before = 0.0
    pid = main_process()
    while process.poll() is None:
        pid = pid or main_process()
        usage = _usage(pid) if pid else None
        if usage:
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
