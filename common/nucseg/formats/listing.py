"""Which entries of a folder are images, and what their results are named after.

An image is a TIFF file or an OME-Zarr folder: ``*.tif``, ``*.tiff``, ``*.zarr``, in upper or lower case.
"""

import hashlib
from pathlib import Path

from nucseg.errors import USAGE, NucsegError

_ZARR = ".zarr"
_TIFF = (".tiff", ".tif")
_SUFFIXES = (".ome.tiff", ".ome.tif", ".ome.zarr", *_TIFF, _ZARR)


def list_images(folder: Path) -> list[Path]:
    """The images of a folder, sorted by name; not those of its subfolders, and no hidden ones.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    list of pathlib.Path
        TIFF files and OME-Zarr folders, and dead links that are named like one. May be empty.

    Raises
    ------
    NucsegError
        With `USAGE`, when there is no such folder or it may not be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise NucsegError(
            f"cannot read the folder {folder}: {error.strerror}", "give the folder that holds the images", USAGE
        ) from error
    return [path for path in entries if not path.name.startswith(".") and _is_image(path)]


def _is_image(path: Path) -> bool:
    if is_zarr(path):
        return not path.is_file()
    return path.name.lower().endswith(_TIFF) and not path.is_dir()


def is_zarr(path: Path) -> bool:
    """Whether the name is that of an OME-Zarr folder.

    Examples
    --------
    >>> is_zarr(Path("in/embryo.ome.ZARR")), is_zarr(Path("in/embryo.zarr.tif"))
    (True, False)
    """
    return path.name.lower().endswith(_ZARR)


def image_stem(path: Path) -> str:
    """File name without .tif, .tiff, .zarr, .ome.tif, .ome.tiff or .ome.zarr.

    Examples
    --------
    >>> image_stem(Path("in/embryo 3.v2.ome.TIF"))
    'embryo 3.v2'
    """
    for suffix in _SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def label_name(path: Path) -> str:
    """File name of an image's label image: the image's own, with .tif in place of .zarr.

    BIOMERO finds the image in OMERO whose name the result's begins with, and exports an image
    ``a.lif [2]`` as ``a.lif [2].zarr``: so ``a.lif [2].tif`` belongs to it.

    Examples
    --------
    >>> label_name(Path("in/a.ome.tiff")), label_name(Path("in/a.ome.zarr"))
    ('a.ome.tiff', 'a.ome.tif')
    """
    return f"{path.name[: -len(_ZARR)]}.tif" if is_zarr(path) else path.name


def size_on_disk(path: Path) -> int:
    """Bytes of an image, of all files together for a folder; 0 for what can't be read."""
    try:
        return sum(file.stat().st_size for file in _files(path))
    except OSError:
        return 0


def last_changed(path: Path) -> float:
    """When an image was last written to, in seconds since 1970: of a folder, the latest of its files."""
    return max((file.stat().st_mtime for file in _files(path)), default=path.stat().st_mtime)


def content_sha256(path: Path) -> str:
    """SHA-256 of an image, in hexadecimal.

    That of a folder is over one line per file, ``<SHA-256>  <path in the folder>``, sorted by path:
    what ``sha256sum`` prints.
    """
    if not path.is_dir():
        return _file_sha256(path)
    files = {file.relative_to(path).as_posix(): file for file in _files(path)}
    lines = [f"{_file_sha256(files[name])}  {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
