"""Whether there is memory for what is to be read."""

from pathlib import Path

from nucseg.errors import NucsegError
from nucseg.machine import available_memory


def check_room(size: int, path: Path) -> None:
    """Refuse to read so many bytes of an image where the kernel would end the process for it.

    Raises
    ------
    NucsegError
        They are more than the free memory.
    """
    free = available_memory()
    if size > free:
        raise NucsegError(
            f"{path.name} takes {size / 1e9:.3g} GB of memory, and {free / 1e9:.3g} GB are free",
            "give the run more memory, or save the image as an uncompressed TIFF, which is read from the disk",
        )
