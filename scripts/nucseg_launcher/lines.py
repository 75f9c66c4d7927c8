"""Bytes in pieces to lines of text."""

import re
from collections.abc import Callable

_LONGEST = 100_000


class LineSplitter:
    """Collects pieces of bytes and hands each complete line to `receive`, without its end.

    Parameters
    ----------
    receive : callable
        Gets one line of text. A carriage return ends a line too: progress bars redraw with it.

    Examples
    --------
    >>> splitter = LineSplitter(print)
    >>> splitter.feed(b"one\\ntw")
    one
    >>> splitter.feed(b"o\\n")
    two
    """

    def __init__(self, receive: Callable[[str], None]) -> None:
        self._receive = receive
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        *lines, self._rest = re.split(rb"\r\n|\n|\r", self._rest + data)
        if len(self._rest) > _LONGEST:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._receive(line.decode("utf-8", "replace"))

    def close(self) -> None:
        """Hand on what came after the last line's end."""
        if self._rest:
            self._receive(self._rest.decode("utf-8", "replace"))
            self._rest = b""
