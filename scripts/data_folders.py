"""Where the volumes lie that the maintainers' scripts work on."""

import os
import sys
import sysconfig
from pathlib import Path


def shared_folder() -> Path | None:
    """NUCSEG_SHARED, a folder with ``data``: published models and labelled volumes that are not part of the project."""
    named = os.environ.get("NUCSEG_SHARED")
    return Path(named).absolute() if named else None


def real_volumes() -> Path:
    """The folder with ``<name>/image.tif`` and ``labels.tif`` in `shared_folder`; without it, the script ends."""
    shared = shared_folder()
    if shared is None or not (shared / "data" / "volumes").is_dir():
        sys.exit("the real volumes are not here. Try: NUCSEG_SHARED=<folder with data/volumes>")
    return shared / "data" / "volumes"


def stardist_images() -> Path:
    """The images that the stardist package carries; importing it would print."""
    return Path(sysconfig.get_path("platlib")) / "stardist" / "data" / "images"
