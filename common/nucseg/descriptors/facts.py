"""What the dialects say alike about a method, beside its parameters."""

import re
from dataclasses import Field, fields
from typing import Any, NamedTuple

from nucseg import __version__
from nucseg.method import Method
from nucseg.params import CommonParams

REPOSITORY = "https://github.com/nucseg/nucseg"
AUTHORS = "nucseg developers"
LICENSE = "BSD-3-Clause"
TAG = f"v{__version__}"

IMAGES = ("infolder", "Images", "Folder of 3D volumes: TIFF, OME-TIFF, ImageJ TIFF.")
LABELS = ("outfolder", "Labels", "Folder for the label images, one per volume and with its file name.")
GROUND_TRUTH = ("gtfolder", "Ground truth", "Folder of label images with the volumes' file names, to measure accuracy.")
"""The folders of a run, by their BIAFLOWS flags: id, name, description."""


class Paper(NamedTuple):
    """A publication of the method's authors."""

    text: str
    doi: str | None


def papers(method: Method) -> list[Paper]:
    """The publications in the method's citation, which are separated by semicolons and end with their DOI."""
    found = []
    for text in method.citation.split("; "):
        doi = re.search(r"doi:(\S+)", text)
        found.append(Paper(re.sub(r",?\s*doi:\S+", "", text), doi[1] if doi else None))
    return found


def citations(method: Method) -> list[dict[str, str]]:
    """What to cite, as BIOMERO and Bilayers want it; the first is the tool, as which BIOMERO shows it."""
    cited = [{"name": method.title, "license": LICENSE, "description": method.description}]
    for text, doi in papers(method):
        entry = {"name": text, "license": LICENSE, "description": f"Publication of {method.title}"}
        cited.append(entry | ({"doi": doi} if doi else {}))
    return cited


def audience(item: Field[Any]) -> str:
    """Whether a parameter is for a ``beginner`` (every method has it) or ``advanced``."""
    common = {*(field.name for field in fields(CommonParams)), "model"}
    return "beginner" if item.name in common else "advanced"
