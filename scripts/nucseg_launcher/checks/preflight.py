"""Checks of what the user has asked for, before anything is made or started."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from nucseg.errors import ENVIRONMENT, USAGE, NucsegError
from nucseg_launcher.checks import Finding
from nucseg_launcher.units import size_text

SMALL = 64 * 1024**2
"""Room for tables, pictures and logs, in bytes."""


def existing_folder(what: str, path: Path) -> Path:
    """The absolute path of a folder that is there and can be read; `what` begins the message.

    Raises
    ------
    NucsegError
        USAGE when it isn't a folder, ENVIRONMENT when this user may not read it.
    """
    hint = "ask its owner, or: chmod -R a+rX the folder"
    path = home(path)
    try:
        if not path.exists():
            raise NucsegError(
                f"{what} {path} does not exist", f"check the spelling; its full path: {path.absolute()}", USAGE
            )
        if not path.is_dir():
            raise NucsegError(f"{what} {path} is a file", "name the folder it lies in", USAGE)
        if not os.access(path, os.R_OK | os.X_OK):
            raise NucsegError(f"{what} {path} may not be read by you", hint, ENVIRONMENT)
    except PermissionError:
        # Of a folder above it.
        raise NucsegError(f"{what} {path} may not be reached by you", hint, ENVIRONMENT) from None
    return path.resolve()


def home(path: Path) -> Path:
    """With the user's folder in place of ~, which no shell does in --gt=~/x; what is no user's name stays as it is."""
    with contextlib.suppress(RuntimeError):
        return path.expanduser()
    return path


def is_one_image(path: Path) -> bool:
    """Whether a path means one image, not a folder of them; a file of no image's format is one that can't be read."""
    from nucseg.formats.listing import is_zarr

    return path.is_file() or (is_zarr(path) and path.is_dir())


def input_images(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder that IN means, and the name of the image where IN is one; no name for all of the folder.

    Raises
    ------
    NucsegError
        As `existing_folder`, or the file is no image.
    """
    from nucseg.formats import list_images

    path = home(path)
    if not is_one_image(path):
        return existing_folder("the input folder", path), ()
    folder = existing_folder("the input folder", path.parent)
    if path.name not in {image.name for image in list_images(folder)}:
        raise NucsegError(f"{path} is no TIFF or OME-Zarr image", "convert it to .tif or .ome.tif", USAGE)
    return folder, (path.name,)


def truth_folder(path: Path | None, images: tuple[Path, tuple[str, ...]] | None = None) -> Path | None:
    """The folder that ``--gt`` means, which may name the labels of an image where IN is one.

    Parameters
    ----------
    path : pathlib.Path or None
        What is given, if anything is.
    images : tuple, optional
        What `input_images` returned, where the command has an IN.

    Raises
    ------
    NucsegError
        As `existing_folder`, or the file is not what the image's ground truth is called.
    """
    from nucseg.folders import find_ground_truth

    what = "the ground truth folder"
    if path is None:
        return None
    path = home(path)
    if not images or not images[1] or not is_one_image(path):
        return existing_folder(what, path)
    folder = existing_folder(what, path.parent)
    for image, truth in find_ground_truth(folder, [images[0] / name for name in images[1]]).items():
        if not truth.samefile(path):
            cause = f"the ground truth of {image.name} in {folder} is {truth.name}, not {path.name}"
            raise NucsegError(cause, f"move {path.name} to a folder of its own, named as the image is", USAGE)
    return folder


def output_folder(path: Path) -> Path:
    """The absolute path of a folder that is there or can be made.

    Raises
    ------
    NucsegError
        USAGE, where a file is in the way.
    """
    path = home(path).resolve()
    for place in (path, *path.parents):
        if place.is_file():
            raise NucsegError(f"the output folder cannot be {path}: {place} is a file", "name a folder", USAGE)
    return path


def check_names(paths: Iterable[Path | None]) -> None:
    """Refuse paths that no record can hold.

    Raises
    ------
    NucsegError
        USAGE, for one that is not Unicode.
    """
    for path in filter(None, paths):
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise NucsegError(f"the path {path} is not Unicode", "rename the file or folder", USAGE) from None


def disk_space(images: Sequence[Path], out: Path) -> Finding:
    """Whether the results fit on the disk of `out`, which need not exist yet.

    Labels are 16-bit and compress well, often 20 to 1; as much as the images themselves is plenty,
    and with less than a tenth of it the run would end in the middle.
    """
    from nucseg.formats import size_on_disk

    plenty = sum(size_on_disk(image) for image in images) + SMALL
    place = next(folder for folder in (out, *out.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    message = f"{size_text(free)} free for {out}, up to {size_text(plenty)} needed"
    if free < plenty / 10:
        return Finding("error", "disk space", message, "free some space, or choose a folder on another disk")
    if free < plenty:
        return Finding("warning", "disk space", message, "results may not fit; watch the disk")
    return Finding("ok", "disk space", message)
