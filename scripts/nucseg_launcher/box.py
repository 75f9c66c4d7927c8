"""The failure box: the cause first, then one thing to try, then where the log is."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def show_failure(title: str, cause: str, hint: str = "", log: Path | None = None, details: Iterable[str] = ()) -> None:
    """Print the box to stderr.

    Parameters
    ----------
    title : str
        What failed: "stardist3d failed".
    cause, hint : str
        What is wrong and one thing to try, as in `NucsegError`.
    log : pathlib.Path, optional
        The file to read for more.
    details : iterable of str
        Lines that belong to the cause, for example one per failed image.

    Notes
    -----
    The box has no right side: lines stay as long as they are, so that a path or a command can be
    copied in one piece.
    """
    from rich.console import Console
    from rich.text import Text

    lines = [("Cause", cause), *(("", detail) for detail in details)]
    if hint:
        lines.append(("Try", hint))
    if log:
        lines.append(("Log", str(log)))
    top, side, bottom = ("╭─", "│", "╰─") if _unicode() else ("+-", "|", "+-")
    box = [Text.assemble((f"{top} ", "red"), (title, "bold red"))]
    for name, text in lines:
        label = f"{name}:" if name else ""
        for number, part in enumerate(text.splitlines() or [""]):
            box.append(Text.assemble((side, "red"), (f" {label if not number else '':6} ", "bold"), part))
    box.append(Text(bottom, "red"))
    # A terminal that is closed, or a log whose disk is full, must not change the exit code.
    with suppress(OSError):
        Console(stderr=True, highlight=False).print(*box, sep="\n", soft_wrap=True)


def _unicode() -> bool:
    return (sys.stderr.encoding or "").lower().replace("-", "").startswith("utf")
