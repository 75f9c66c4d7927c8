"""A folder that one launcher at a time writes to."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nucseg.errors import USAGE, NucsegError


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other launchers out of a folder. The system lifts the lock of a launcher that is killed.

    Parameters
    ----------
    folder : pathlib.Path
    wait : bool
        Wait for the other one: it only writes a file.

    Raises
    ------
    NucsegError
        USAGE: another run is writing there.
    """
    handle = os.open(folder, os.O_RDONLY)
    # A plain process inherits the lock, and holds it if it outlives its launcher.
    os.set_inheritable(handle, True)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NucsegError(
                f"another nucseg run is writing to {folder}", "wait until it has ended, or choose another folder", USAGE
            ) from None
        except OSError:
            # Some network file systems know no such locks: go without.
            pass
        yield
    finally:
        os.close(handle)
