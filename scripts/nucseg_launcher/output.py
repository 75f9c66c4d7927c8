"""Words to the user during a run."""

import os
import sys
from typing import TextIO

from nucseg.progress import printable


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once, on stdout unless another stream is named.

    A reader that goes away (``nucseg run ... | head``, a terminal that is closed) and a log whose disk
    is full do not end a run that takes hours.
    """
    stream = stream or sys.stdout
    try:
        print(printable(text), file=stream, flush=True)
    except OSError:
        # From now on nothing is shown there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
