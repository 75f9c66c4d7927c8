"""Which files of a folder are images, and what their results are named after."""

from pathlib import Path

from nucseg.errors import USAGE, NucsegError

_SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif")


def list_images(folder: Path) -> list[Path]:
    """The TIFF files of a folder, sorted by name; not of its subfolders, and no hidden ones.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    list of pathlib.Path
        Names that end in .tif or .tiff, in upper or lower case. May be empty.

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
    return [p for p in entries if p.name.lower().endswith(_SUFFIXES) and not p.name.startswith(".") and not p.is_dir()]


def image_stem(path: Path) -> str:
    """File name without .tif, .tiff, .ome.tif or .ome.tiff.

    Examples
    --------
    >>> image_stem(Path("in/embryo 3.v2.ome.TIF"))
    'embryo 3.v2'
    """
    for suffix in _SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem
