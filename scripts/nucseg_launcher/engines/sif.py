"""Apptainer's images: where they lie, what they are called, and the program that runs them."""

import os
import shutil
from pathlib import Path

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg_launcher.catalogue import MethodEntry

PROGRAMS = ("apptainer", "singularity")

FOLDER_VARIABLE = "NUCSEG_SIF_DIR"


def find_program() -> str:
    """``apptainer``, or its relative ``singularity`` where only that is installed.

    Raises
    ------
    NucsegError
        ENVIRONMENT.
    """
    for name in PROGRAMS:
        if shutil.which(name):
            return name
    raise NucsegError(
        "Apptainer is not installed (there is no program apptainer or singularity)",
        "on a cluster: module load apptainer, or ask its administrators; else install it from apptainer.org",
        ENVIRONMENT,
    )


def has_program() -> bool:
    """Whether there is one."""
    return any(map(shutil.which, PROGRAMS))


def sif_folder() -> Path:
    """``$NUCSEG_SIF_DIR``, else ``nucseg/sif`` in the user's data folder (``$XDG_DATA_HOME``, ``~/.local/share``)."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path("~/.local/share").expanduser()).absolute() / "nucseg" / "sif"


def sif_name(image: str) -> str:
    """The file of an image, as ``apptainer pull`` names it and BIOMERO looks for it.

    Examples
    --------
    >>> sif_name("nucseg/stardist3d:v0.1.0")
    'stardist3d_v0.1.0.sif'
    """
    return image.rpartition("/")[2].replace(":", "_") + ".sif"


def sif_file(method: MethodEntry) -> Path:
    """Where a method's file is looked for."""
    return sif_folder() / sif_name(method.image)


def required_sif(method: MethodEntry) -> Path:
    """`sif_file`, which must be there.

    Raises
    ------
    NucsegError
        ENVIRONMENT.
    """
    path = sif_file(method)
    if not path.is_file():
        hint = f"nucseg sif {method.name}, or name the folder that holds it: export {FOLDER_VARIABLE}=..."
        raise NucsegError(f"there is no {path}", hint, ENVIRONMENT)
    return path
