"""Ctrl-C, SIGTERM and a closed terminal end a run the same way: clean up, keep what is done, say so."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pending: list[int] = []
_depth = 0


class Interrupted(KeyboardInterrupt):
    """The user or the system asked us to stop. Like its parent, no ``except Exception`` swallows it.

    Attributes
    ----------
    exit_code : int
        128 + signal number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def is_interruption(exit_code: int) -> bool:
    """Whether an exit code says that a signal ended a run."""
    return exit_code > 128


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _depth:
        _pending.append(number)
    else:
        raise Interrupted(number)


def install() -> None:
    """Turn the stop signals into `Interrupted`, raised in the main thread."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A parent that ignores a signal (nohup) has decided for us.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)


@contextmanager
def held(*, forget: bool = False) -> Iterator[None]:
    """Put stop signals off: a container is either not created yet or known by name, never in between.

    Parameters
    ----------
    forget : bool
        Drop what came meanwhile: while an interrupted run is cleaned up, a second Ctrl-C must not
        leave a container behind.
    """
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            waiting, _pending[:] = _pending[:], []
            if waiting and not forget:
                raise Interrupted(waiting[0])
