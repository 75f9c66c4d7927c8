"""The method's progress lines, shown as bars on a terminal and as plain lines elsewhere."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from nucseg.progress import printable, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE = re.compile(r"^\s*(\d{1,3})%\s+(?:image (\d+)/(\d+) (.+?): )?(.*)$")
_LEFT = re.compile(r", (about .+ left)$")
_PART = re.compile(r"\b(\d+)/(\d+)\b")


@dataclass(frozen=True)
class Step:
    """One progress line.

    Attributes
    ----------
    percent : int
        Of the whole run.
    image, images : int
        Which image of how many; 0 when the line is not about an image (a training step).
    name, text, left : str
        The image's name, what is being done, and the time left ("about 12 s left").
    part : tuple of int or None
        Which tile (or step) of how many, when the text says so.
    """

    percent: int
    image: int
    images: int
    name: str
    text: str
    left: str
    part: tuple[int, int] | None


def parse_step(line: str) -> Step | None:
    """Read a line such as `` 37% image 2/3 b.tif: tile 3/8, about 12 s left``; None if it is none.

    Examples
    --------
    >>> parse_step(" 37% image 2/3 b.tif: tile 3/8, about 12 s left").part
    (3, 8)
    """
    found = _LINE.match(line)
    if not found or int(found[1]) > 100:
        return None
    left = _LEFT.search(found[5])
    text = found[5][: left.start()] if left else found[5]
    part = _PART.search(text)
    return Step(
        percent=int(found[1]),
        image=int(found[2] or 0),
        images=int(found[3] or 0),
        name=found[4] or "",
        text=text,
        left=left[1] if left else "",
        part=(int(part[1]), int(part[2])) if part else None,
    )


class Display(Protocol):
    """Shows lines as they come. Use it as a context manager."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def out(self, line: str) -> None:
        """Show a line of the method's stdout."""
        ...

    def err(self, line: str) -> None:
        """Show a line of the method's stderr."""
        ...


class PlainDisplay:
    """Every line as it is: for log files, and for programs that read ``NN%``."""

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def out(self, line: str) -> None:
        """Print to stdout."""
        say(line)

    def err(self, line: str) -> None:
        """Print to stderr."""
        say(line, sys.stderr)


class BarDisplay:
    """Two bars: the whole run, and the tiles of the present image. Other lines scroll above them."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self._bars: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        self._run: TaskID = self._bars.add_task("starting", total=100, text="")
        self._tiles: TaskID = self._bars.add_task("", total=1, text="", visible=False)
        self._last: Step | None = None

    def __enter__(self) -> BarDisplay:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tell_last()
        with suppress(OSError):
            self._bars.stop()

    def out(self, line: str) -> None:
        """Move the bars, or print the line above them."""
        step = parse_step(line)
        if step is None:
            self._print(line)
            return
        # What is said last of an image is how it ended; that stays on the screen.
        if self._last and step.image != self._last.image:
            self._tell_last()
        self._last = step
        in_parts = step.part is not None and bool(step.name)
        words = [step.name, "" if in_parts else step.text, step.left]
        self._bars.update(
            self._run,
            completed=step.percent,
            description=f"image {step.image}/{step.images}" if step.images else "run",
            text=printable(", ".join(filter(None, words))),
        )
        if in_parts and step.part:
            done, total = step.part
            self._bars.update(self._tiles, completed=done, total=total, text=printable(step.text), visible=True)
        else:
            self._bars.update(self._tiles, visible=False)

    def err(self, line: str) -> None:
        """Print the line above the bars."""
        self._print(line)

    def _tell_last(self) -> None:
        if self._last and self._last.name:
            self._print(f"{self._last.name}: {self._last.text}")
        self._last = None

    def _print(self, line: str) -> None:
        # A terminal may have been closed.
        with suppress(OSError):
            self._bars.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def open_display() -> Display:
    """Bars when stdout is a terminal that can redraw, else plain lines."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown"):
        return BarDisplay()
    return PlainDisplay()
