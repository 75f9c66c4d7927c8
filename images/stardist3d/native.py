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


@contextlib.contextmanager
def single_threaded_native_code() -> Iterator[None]:
    """Within this block, stardist's compiled loops run on one thread.

    Its suppression adds up the mean extents of the candidates from all threads without a lock, so
    that with several threads the same input may give different results.
    """
    openmp = _openmp_of_stardist()
    threads = openmp.omp_get_max_threads() if openmp else 1
    if openmp:
        openmp.omp_set_num_threads(1)
    try:
        yield
    finally:
        if openmp:
            openmp.omp_set_num_threads(threads)


def _openmp_of_stardist() -> ctypes.CDLL | None:
    """The OpenMP library that came with stardist (torch has another); None if it has none of its own."""
    import stardist.lib.stardist3d  # noqa: F401  (loads it)

    with open("/proc/self/maps") as maps:  # noqa: PTH123
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if "libgomp" in line and "stardist" in line}
    return ctypes.CDLL(paths.pop()) if paths else None
