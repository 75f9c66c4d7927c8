"""Files that are either complete or not there."""

import errno
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nucseg.errors import ENVIRONMENT, NucsegError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# A file name has at most 255 bytes, a character at most 4.
_MAX_STEM = 50


def part_path(path: Path) -> Path:
    """The name under which a file is written until it is complete.

    Runs that share a folder write at the same time, so the parts of two names differ also where
    long names begin alike.

    Examples
    --------
    >>> part_path(Path("out/a.tif")).as_posix()
    'out/.a.tif.part'
    """
    name = path.name
    if len(name) > _MAX_STEM:
        name = f"{name[:_MAX_STEM]}~{zlib.crc32(name.encode('utf-8', 'surrogateescape')):08x}"
    return path.with_name(f".{name}.part")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Write a file under another name and move it into place when it is complete.

    The body of the ``with`` writes to the path that it is given: a hidden sibling with the suffix
    ".part", so in the same file system. When the body raises anything (SystemExit from a signal
    handler included), the sibling is removed and a file that was there before is untouched.

    Parameters
    ----------
    path : pathlib.Path
        The final name. Its folder must exist.

    Yields
    ------
    pathlib.Path
        Where to write.

    Raises
    ------
    NucsegError
        With `ENVIRONMENT`, for an OSError of the body or of the move: full disk, read-only folder, ...

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "a.txt") as part:
    ...         _ = part.write_text("complete")
    ...     (Path(folder) / "a.txt").read_text()
    'complete'
    """
    part = part_path(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        _discard(part)
        raise _explained(error, path) from error
    except BaseException:
        _discard(part)
        raise


def _discard(part: Path) -> None:
    try:
        part.unlink()
    except OSError:
        # Either it had not come into being, or the folder cannot be written to: the first error counts.
        return


def _explained(error: OSError, path: Path) -> NucsegError:
    if error.errno in _FULL:
        return NucsegError(
            f"no space left to write {path}", f"free some space on the disk of {path.parent}", ENVIRONMENT
        )
    reason = error.strerror or str(error)
    if error.errno in _FORBIDDEN:
        return NucsegError(
            f"cannot write {path}: {reason}", "choose an output folder that you may write to", ENVIRONMENT
        )
    return NucsegError(f"cannot write {path}: {reason}", "check the output folder and its disk", ENVIRONMENT)
