"""Run a job: logs, progress, resources, and what came of it."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, AnyStr

from nucseg.errors import NucsegError
from nucseg_launcher.causes import Ending, explain_ending, is_error_line
from nucseg_launcher.engines.base import Engine, Job, Outcome, Sample
from nucseg_launcher.gpu import used_gpu_memory
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.lines import LineSplitter
from nucseg_launcher.progress import Display, open_display
from nucseg_launcher.signals import Interrupted

_TAIL = 20_000
_MOST_ERRORS = 10_000


@dataclass(frozen=True)
class Result:
    """How a job ended.

    Attributes
    ----------
    exit_code : int
        The launcher's.
    outcome : Outcome or None
        None when there never was a container or process, or it was interrupted.
    failure : NucsegError or None
        None when all went well.
    peak_memory : int or None
        Bytes.
    peak_gpu_memory : int or None
        Bytes on all GPUs, above what was in use when the job began; None without a GPU.
    errors : str
        The lines in which the method said what went wrong.
    """

    exit_code: int
    seconds: float
    outcome: Outcome | None
    failure: NucsegError | None
    peak_memory: int | None
    peak_gpu_memory: int | None = None
    errors: str = ""
    interrupted: bool = False


class Recorder:
    """The sink of a job: log files, ``resources.tsv``, the display, and the end of stderr for the cause."""

    def __init__(self, folder: MethodFolder, display: Display, append: bool, stack: ExitStack) -> None:
        mode = "ab" if append else "wb"
        self._stdout = stack.enter_context(folder.stdout.open(mode))
        self._stderr = stack.enter_context(folder.stderr.open(mode))
        self._resources = stack.enter_context(folder.resources.open("w", encoding="utf-8"))
        self._resources.write("seconds\tmemory_bytes\tcpu_percent\tgpu_memory_bytes\n")
        self._display = display
        self._out_lines, self._err_lines = LineSplitter(self._show_out), LineSplitter(self._show_err)
        self._errors: list[str] = []
        self._told: set[str] = set()
        self._tail = b""
        self.peak: int | None = None
        self.peak_gpu: int | None = None
        self._gpu_before = used_gpu_memory()

    def out(self, data: bytes) -> None:
        """Log and show a piece of stdout."""
        _write(self._stdout, data)
        self._out_lines.feed(data)

    def err(self, data: bytes) -> None:
        """Log and show a piece of stderr."""
        _write(self._stderr, data)
        self._tail = (self._tail + data)[-_TAIL:]
        self._err_lines.feed(data)

    def sample(self, sample: Sample) -> None:
        """Note what is used; called from the engine's own thread."""
        self.peak = max(self.peak or 0, sample.memory)
        gpu = self._gpu_use()
        if not self._resources.closed:
            row = f"{sample.seconds:.1f}\t{sample.memory}\t{sample.cpu:.0f}\t{'' if gpu is None else gpu}"
            _write(self._resources, row + "\n")

    def _gpu_use(self) -> int | None:
        now = None if self._gpu_before is None else used_gpu_memory()
        if now is None or self._gpu_before is None:
            return None
        use = max(0, now - self._gpu_before)
        self.peak_gpu = max(self.peak_gpu or 0, use)
        return use

    def close(self) -> None:
        """Show what came after the last line's end."""
        self._out_lines.close()
        self._err_lines.close()

    @property
    def errors(self) -> str:
        """What tells of failures: every error line, and the end of stderr, where a crash leaves its traceback."""
        return "\n".join([*self._errors, self._tail.decode("utf-8", "replace")])

    def _show_out(self, line: str) -> None:
        if self._is_new(line):
            self._display.out(line)

    def _show_err(self, line: str) -> None:
        if self._is_new(line):
            self._display.err(line)

    def _is_new(self, line: str) -> bool:
        """Note an error; the methods tell each a second time at their end, for those who read only that."""
        if not is_error_line(line) or len(self._errors) >= _MOST_ERRORS:
            return True
        is_new = line not in self._told
        self._told.add(line)
        self._errors.append(line)
        return is_new


def _write(file: IO[AnyStr], data: AnyStr) -> None:
    """Write to a log. A full disk must not end the run: the method itself says so, with the image's name."""
    try:
        file.write(data)
        file.flush()
    except OSError:
        return


def perform(engine: Engine, job: Job) -> Result:
    """Run a job to its end, whatever that is; errors become part of the result."""
    started = time.monotonic()
    outcome: Outcome | None = None
    failure: NucsegError | None = None
    exit_code, interrupted = 0, False
    with ExitStack() as stack:
        display = open_display()
        recorder = Recorder(job.folder, display, job.resume, stack)
        try:
            with display:
                try:
                    outcome = engine.run(job, recorder)
                finally:
                    recorder.close()
        except Interrupted as stop:
            exit_code, interrupted = stop.exit_code, True
            failure = NucsegError("the run was interrupted", "run the same command with --resume", exit_code)
        except NucsegError as error:
            failure, exit_code = error, error.exit_code
        if outcome is not None:
            ending = Ending(outcome.exit_code, outcome.oom_killed, job.memory, recorder.errors)
            failure = explain_ending(ending)
            exit_code = failure.exit_code if failure else 0
        peaks = [peak for peak in (recorder.peak, outcome.peak_memory if outcome else None) if peak]
    seconds = time.monotonic() - started
    return Result(
        exit_code, seconds, outcome, failure, max(peaks, default=None), recorder.peak_gpu, recorder.errors, interrupted
    )
