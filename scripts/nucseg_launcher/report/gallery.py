"""The pictures of each volume: mid sections, the worst disagreements, and the slices of a viewer."""

from dataclasses import dataclass, field
from typing import Any

from nucseg.volume import Shape
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.report.pictures import Contrast, Picture, contrast_of, outlines_of, picture_of
from nucseg_launcher.report.sources import Stack, Typical, open_stack, typical
from nucseg_launcher.report.viewer import Viewer, viewer_of
from nucseg_launcher.report.views import View, around, cut, whole

MOST_BYTES = 13_000_000
"""Of all pictures and rows of tables together, so that the page stays below 15 MB."""

_ROW_BYTES = 800
_VIEWERS_BYTES = 9_000_000
_VIEWER_BYTES = 3_000_000
_MOST_DISAGREEMENTS = 3


@dataclass
class Shown:
    """The pictures of one volume.

    Attributes
    ----------
    volume : dict
        As the comparison describes it.
    centre : tuple of int
        The voxel that the sections go through, ZYX.
    sections : Picture
    disagreements : list of (dict, Picture)
        What the comparison says of each, and how it looks.
    viewer : Viewer or None
    notes : list of str
        What a reader might take wrongly, and what could not be shown.
    """

    volume: dict[str, Any]
    centre: Shape
    sections: Picture
    disagreements: list[tuple[dict[str, Any], Picture]]
    viewer: Viewer | None
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes in the page."""
        pictures = [self.sections, *(picture for _, picture in self.disagreements)]
        return sum(picture.size for picture in pictures) + (self.viewer.size if self.viewer else 0)


def gallery_of(out: OutFolder, comparison: dict[str, Any], most_bytes: int = MOST_BYTES) -> list[Shown]:
    """The pictures of the volumes, as many as there is room for; the most disputed volumes come first."""
    disputed = {entry["volume"]: entry["score"] for entry in reversed(comparison["disagreements"])}
    # Of a volume that no method has finished, not even the size is known.
    known = [volume for volume in comparison["volumes"] if volume["shape"]]
    volumes = sorted(known, key=lambda volume: -disputed.get(volume["name"], 0.0))
    room = min(_VIEWER_BYTES, _VIEWERS_BYTES // max(1, len(volumes)))
    shown: list[Shown] = []
    left = most_bytes - _ROW_BYTES * len(comparison["results"])
    for volume in volumes:
        with open_stack(out, comparison, volume) as stack:
            pictures = _shown(stack, volume, typical(out, comparison, volume), comparison, room)
        left -= pictures.size
        if left < 0:
            break
        shown.append(pictures)
    return shown


def _shown(stack: Stack, volume: dict[str, Any], nuclei: Typical, comparison: dict[str, Any], room: int) -> Shown:
    known = bool(volume["voxel_size_um"])
    diameter = nuclei.diameter or (20 * min(stack.voxel))
    view = whole(stack.shape, stack.voxel, nuclei.centre or [n // 2 for n in stack.shape], nuclei.diameter)
    raw = cut(stack.raw, view) if stack.raw else None
    contrast = contrast_of(raw) if raw else Contrast(0, 1)
    sections = picture_of(view, raw, contrast, known)
    sections.outlines.update(_outlines(stack, view))
    regions = [entry for entry in comparison["disagreements"] if entry["volume"] == volume["name"]]
    disagreements = []
    for region in regions[:_MOST_DISAGREEMENTS]:
        near = around(stack.shape, stack.voxel, region["box"], region["centre"], diameter / 2)
        picture = picture_of(near, cut(stack.raw, near) if stack.raw else None, contrast, known)
        picture.outlines.update(_outlines(stack, near))
        disagreements.append((region, picture))
    viewer = viewer_of(stack, contrast, room)
    return Shown(
        volume,
        view.centre,
        sections,
        disagreements,
        viewer,
        [*stack.problems, *_notes(volume["name"], stack, view, viewer)],
    )


def _outlines(stack: Stack, view: View) -> dict[str, list[str]]:
    return {name: outlines_of(cut(layer, view), view) for name, layer in stack.layers.items()}


def _notes(name: str, stack: Stack, view: View, viewer: Viewer | None) -> list[str]:
    notes = []
    if any(b - a < n for (a, b), n in zip(view.box, stack.shape, strict=True)):
        size = " × ".join(str(b - a) for a, b in view.box)
        notes.append(
            f"The volume is larger than a picture can show: these are the {size} voxels (Z, Y, X) in its middle."
        )
    if view.z_step > 1:
        notes.append(f"XZ and YZ are made from every {view.z_step}th plane.")
    if viewer is None:
        notes.append(f"Too large for a slice viewer in this page: nucseg view OUT/{name} shows it in napari.")
    elif len(viewer.planes) < stack.shape[0]:
        notes.append(f"The slice viewer has {len(viewer.planes)} of {stack.shape[0]} planes.")
    return notes
