"""Progress as lines of text: how much of the whole run is done, at what, and how long it will take.

Every line begins with a percentage, because OMERO shows the last one in the log.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from nucseg.method import Report

SHORTEST, LONGEST, SHARE = 1.0, 10.0, 1 / 20
"""Seconds between two lines of one image: a share of the time since the run began, within these bounds."""

EARLY = 0.02
"""Below this fraction no time left is estimated."""


def printable(text: str) -> str:
    """The text as a log may hold it.

    BIOMERO reads the folder that it cleans up from lines like "Running x Job w/ ...", and line
    breaks in a file name could forge one.
    """
    shown = "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
    return re.sub(r"(?i)(job\s+w)/", r"\1 /", shown)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print one message at once, on standard output unless another stream is named.

    A log that can't take it (a closed pipe, a full disk) doesn't end the run.
    """
    target = stream or sys.stdout
    try:
        target.write(printable(text) + "\n")
        target.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), target.fileno())


class LogLines(logging.Handler):
    """Says what loggers say (a warning about an image, mostly), so that their lines are as harmless as ours.

    What they call an error, ours may be about too, or no image fails by it: ``error:`` is for those that fail.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        say(f"warning: {record.getMessage()}")


def duration(seconds: float) -> str:
    """Seconds for people: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Progress:
    """Progress through images of different sizes.

    Parameters
    ----------
    names : sequence of str
        The images.
    sizes : sequence of float
        Share of work of each, in any unit (bytes of the file).
    unit : str
        What the names are of.
    stream : file, optional
        Standard output by default.
    clock : callable
        Seconds.
    listener : callable, optional
        Is told the fraction that is done and the text of every line.

    Examples
    --------
    >>> progress = Progress(["a.tif", "b.tif"], [1, 3], clock=lambda: 0.0)
    >>> progress.start(1)
     25% image 2/2 b.tif: begins
    >>> progress(0.5, "tile 4/8")
    >>> progress.finish(1, "12 nuclei")
    100% image 2/2 b.tif: 12 nuclei
    """

    def __init__(
        self,
        names: Sequence[str],
        sizes: Sequence[float],
        unit: str = "image",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        listener: Report | None = None,
    ) -> None:
        self._listener = listener
        self._names, self._unit, self._stream, self._clock = list(names), unit, stream, clock
        total = sum(sizes)
        self._shares = [size / total for size in sizes] if total > 0 else [1 / len(sizes)] * len(sizes)
        self._index, self._skipped = 0, 0.0
        self._begun = self._printed = clock()

    def start(self, index: int) -> None:
        """Say that an image begins."""
        self._index = index
        self._line(0.0, "begins")

    def __call__(self, fraction: float, text: str) -> None:
        """Say what is done of the present image; lines that follow too fast are left out."""
        now = self._clock()
        if now - self._printed >= min(LONGEST, max(SHORTEST, SHARE * (now - self._begun))):
            self._line(fraction, text)

    def finish(self, index: int, text: str) -> None:
        """Say how an image ended."""
        self._index = index
        self._line(1.0, text)

    def skip(self, index: int, text: str) -> None:
        """Say that an image needs no work; it doesn't count in the estimate."""
        self._skipped += self._shares[index]
        self.finish(index, text)

    def _line(self, fraction: float, text: str) -> None:
        now = self._clock()
        done = sum(self._shares[: self._index]) + self._shares[self._index] * min(max(fraction, 0.0), 1.0)
        worked = done - self._skipped
        left = ""
        if worked > EARLY and round(done, 9) < 1 and now > self._begun:
            left = f", about {duration((now - self._begun) * (1 - done) / worked)} left"
        # A percentage in a file name would be taken for the run's.
        name = re.sub(r"(\d)%", r"\1 %", self._names[self._index])
        place = f"{self._unit} {self._index + 1}/{len(self._names)} {name}"
        say(f"{int(100 * done + 1e-9):3d}% {place}: {text}{left}", self._stream)
        self._printed = now
        if self._listener:
            self._listener(done, f"{place}: {text}")
