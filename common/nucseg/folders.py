"""The folders of a run: checked before anything starts, because inputs are never written to."""

import errno
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from tempfile import NamedTemporaryFile

from nucseg.atomic import part_path
from nucseg.errors import ENVIRONMENT, USAGE, NucsegError

PROBE_BYTES = 1 << 18
"""Written to try an output folder: on a full disk an empty file can still be made."""


def check_inputs(**folders: Path | None) -> None:
    """Check that input folders are there and readable; the names are those of their flags.

    Raises
    ------
    NucsegError
        `USAGE` for a folder that isn't one, `ENVIRONMENT` for one that this user can't read.
    """
    for flag, folder in folders.items():
        if folder is None:
            continue
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "does not exist"
            hint = f"name the folder that holds the images after --{flag}"
            raise NucsegError(f"--{flag}: {folder} {what}", hint, USAGE)
        if not os.access(folder, os.R_OK | os.X_OK):
            raise NucsegError(f"--{flag}: no permission to read {folder}", f"chmod -R a+rX {folder}", ENVIRONMENT)


def check_apart(inputs: Iterable[Path | None], outputs: Iterable[Path | None], *, within: bool = False) -> None:
    """Refuse an output folder that is an input folder or lies in one, by whatever name.

    Parameters
    ----------
    inputs, outputs : iterable of pathlib.Path or None
    within : bool
        It may lie in one: where single images are meant, results are often wanted beside them.

    Raises
    ------
    NucsegError
        `USAGE`.
    """
    for target in outputs:
        for source in inputs:
            if source is None or target is None or not source.exists():
                continue
            # By file identity too: two mounts of one folder have different paths.
            around = () if within else target.resolve().parents
            near = [place for place in (target.resolve(), *around) if place.exists()]
            if any(place.samefile(source) for place in near):
                raise NucsegError(
                    f"the output folder {target} is, or lies in, the input folder {source}",
                    "name an output folder outside of it",
                    USAGE,
                )


def prepare_output(folder: Path) -> None:
    """Make an output folder and try to write in it.

    Raises
    ------
    NucsegError
        `ENVIRONMENT`, when it is read-only, not permitted, or the disk is full; `USAGE` for a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Under a name that no other has: runs that share a folder try it at the same time.
        with NamedTemporaryFile(dir=folder, prefix=".nucseg_probe", suffix=".part") as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except FileExistsError:
        raise NucsegError(f"the output folder {folder} is a file", "name a folder", USAGE) from None
    except OSError as error:
        reasons = {
            errno.EROFS: ("it is read-only", "make it writable (a mount: without :ro), or name another folder"),
            errno.ENOSPC: ("the disk is full", "free some space, or name a folder on another disk"),
            errno.EDQUOT: ("the disk quota is used up", "free some space, or name another folder"),
        }
        other = (str(error), "name another folder")
        if isinstance(error, PermissionError):
            hint = f"run as its owner (docker run --user), or chmod a+rwx {folder}"
            other = (f"user {os.getuid()} has no permission", hint)
        why, hint = reasons.get(error.errno or 0, other)
        raise NucsegError(f"the output folder {folder} can't be written: {why}", hint, ENVIRONMENT) from None


def remove(*paths: Path) -> None:
    """Remove files; one that isn't there, or can't be removed, is left."""
    for path in paths:
        try:
            path.unlink()
        except OSError:
            continue


def remove_parts(files: Iterable[Path]) -> None:
    """Remove the half-written forms of these files (`nucseg.atomic`), this run's or an earlier, killed one's."""
    remove(*map(part_path, files))


def find_images(folder: Path) -> tuple[list[Path], list[str]]:
    """The images of an input folder, and the names of what else lies there (hidden files apart).

    Raises
    ------
    NucsegError
        `USAGE`, with what lies there, when no image does.
    """
    from nucseg.formats import list_images
    from nucseg.formats.listing import is_zarr

    images = list_images(folder)
    names = {path.name for path in images}
    others = sorted(path.name for path in folder.iterdir() if path.name not in names and not path.name.startswith("."))
    if images:
        return images, others
    if not others:
        raise NucsegError(f"the input folder {folder} is empty", "put .tif, .tiff or .zarr images into it", USAGE)
    some = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    cause = f"there is no TIFF or OME-Zarr image in {folder}, only {some}"
    hint = "name the folder that it lies in" if is_zarr(folder) else "convert the images to .tif or .ome.tif"
    raise NucsegError(cause, hint, USAGE)


def chosen(images: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """The images of these names; all of them without names.

    Raises
    ------
    NucsegError
        `USAGE`, for a name that no image has.
    """
    if not names:
        return list(images)
    missing = [name for name in names if name not in {image.name for image in images}]
    if missing:
        near = get_close_matches(missing[0], [image.name for image in images], 1)
        hint = f"--only={near[0]}" if near else f"--only takes the name of an image of {images[0].parent}"
        raise NucsegError(f"--only: there is no image {missing[0]}", hint, USAGE)
    return [image for image in images if image.name in names]


def same_stem(images: Sequence[Path]) -> dict[Path, list[str]]:
    """Images whose results would have one name (a.tif, a.ome.tif and a.zarr), with the names of the others."""
    from nucseg.formats import image_stem

    groups = defaultdict(list)
    for path in images:
        groups[image_stem(path)].append(path)
    return {path: [p.name for p in group if p != path] for group in groups.values() if len(group) > 1 for path in group}


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def find_ground_truth(folder: Path, images: Sequence[Path]) -> dict[Path, Path]:
    """The ground truth of each image that has one.

    It has the image's file name, else its name with another extension, else (BIAFLOWS) ``_lbl``
    behind its name. The image itself comes last, where both lie in one folder.

    Raises
    ------
    NucsegError
        `USAGE` when no image has one.
    """
    from nucseg.formats import image_stem, list_images

    labels = list_images(folder)
    by_name = {path.name: path for path in labels}
    by_stem = {image_stem(path): path for path in labels}
    found = {}
    for image in images:
        stem = image_stem(image)
        named = [by_name.get(image.name), by_stem.get(stem), by_stem.get(f"{stem}_lbl")]
        if candidates := [path for path in named if path]:
            found[image] = min(candidates, key=lambda path: _is_same(path, image))
    if not found:
        raise NucsegError(
            f"no image has a ground truth in {folder}",
            "give each label image its image's file name, or leave the ground truth out",
            USAGE,
        )
    return found
