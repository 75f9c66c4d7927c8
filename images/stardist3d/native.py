"""Calls into stardist's compiled code that leave this process as it was.

Its qhull writes to standard output ("Qhull output at end"), which here carries progress. Its loops
install a handler of their own for Ctrl-C and do not always take it back.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_native_code() -> Iterator[None]:
    """Within this block, what native code prints on standard output is dropped, and Ctrl-C waits.

    The redirection is of the whole process: let no other thread print meanwhile.
    """
    sys.stdout.flush()
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    saved = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        # what is still in the buffer of C would otherwise come out after the redirection
        libc.fflush(None)
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
