"""What an exception means for the user: the one place that knows the error texts of other programs."""

import errno
import sys
import traceback

from nucseg.errors import ENVIRONMENT, FAILED_IMAGE, NucsegError
from nucseg.progress import say

_DISK = {
    errno.ENOSPC: ("the disk is full", "free some space, or name an --out folder on another disk"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or name an --out folder elsewhere"),
    errno.EROFS: ("the output folder is read-only", "mount it writable, or name another --out folder"),
    errno.EACCES: ("no permission to read or write", "let the user that runs this read --in and write --out"),
    errno.EPERM: ("no permission to read or write", "let the user that runs this read --in and write --out"),
    errno.EIO: ("the disk could not be read or written", "check the disk or the network drive, then run again"),
}
_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "Unable to allocate",
    "is killed by signal: Killed",  # torch, of a process that makes samples
)


def explain(error: BaseException) -> NucsegError:
    """The cause and the hint of any exception; an unknown one's traceback goes to standard error.

    Examples
    --------
    >>> print(explain(OSError(28, "No space left on device", "/out/a.tif")))
    the disk is full (/out/a.tif). Try: free some space, or name an --out folder on another disk
    """
    if isinstance(error, NucsegError):
        return error
    text = str(error)
    # torch isn't imported for its exception class.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or any(t in text for t in _MEMORY):
        if "CUDA" in text:
            return NucsegError("the GPU's memory is too small for this volume", "run with --device cpu", FAILED_IMAGE)
        hint = "give the container more memory, or cut the volume into parts"
        return NucsegError("the memory is too small for this volume", hint, FAILED_IMAGE)
    if isinstance(error, OSError) and error.errno in _DISK:
        cause, hint = _DISK[error.errno]
        return NucsegError(f"{cause} ({error.filename})" if error.filename else cause, hint, ENVIRONMENT)
    say("".join(traceback.format_exception(error)).rstrip(), sys.stderr)
    shown = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return NucsegError(f"unexpected error: {shown.splitlines()[0]}", "report it with the log of this run", FAILED_IMAGE)
