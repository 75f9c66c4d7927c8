"""The consensus of an output folder: label images and tables of support."""

from pathlib import Path

import numpy as np

from nucseg.comparison.consensus import Consensus, draw_consensus
from nucseg.comparison.groups import Groups, group_objects, overlap_tables
from nucseg.errors import USAGE, NucsegError
from nucseg.formats import image_stem, write_labels
from nucseg_launcher.comparison.sources import Source, images_of, sources_of
from nucseg_launcher.comparison.volumes import label_files, voxel_size_of
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.record import write_text


def write_consensus(out: OutFolder) -> dict[str, tuple[int, int]]:
    """Write ``consensus/labels/<image>.tif`` and ``consensus/support/<image>.csv`` for each image.

    The columns of a table are ``label``, ``support`` (how many methods have the nucleus), ``share`` (of all methods),
    ``mean_iou`` (of the object that it was built around with the others') and ``methods``.

    Returns
    -------
    dict
        Per image, the number of nuclei of the majority, and of those that only a minority has.

    Raises
    ------
    NucsegError
        USAGE: fewer than two methods have run there.
    """
    sources = sources_of(out, {})
    if len(sources) < 2:
        raise NucsegError(
            f"only {sources[0].name} has run in {out.path}: a majority needs more methods",
            "nucseg compare METHOD,METHOD,METHOD IN OUT",
            USAGE,
        )
    labels, support = out.consensus / "labels", out.consensus / "support"
    for folder in (labels, support):
        folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for image in images_of(sources):
        files, _ = label_files(image, sources)
        if files is None:
            continue
        groups = group_objects(overlap_tables(files), len(files))
        drawn = draw_consensus(files, groups)
        target = labels / f"{image_stem(Path(image))}.tif"
        write_labels(target, drawn.labels, voxel_size_of(image, sources))
        write_text(support / f"{image_stem(Path(image))}.csv", _table(groups, drawn, sources))
        counts[image] = (len(drawn.group), len(groups.labels) - len(drawn.group))
    return counts


def _table(groups: Groups, drawn: Consensus, sources: list[Source]) -> str:
    lines = ["label,support,share,mean_iou,methods"]
    for label, row in enumerate(drawn.group, 1):
        has = np.flatnonzero(groups.labels[row])
        names = "+".join(sources[m].name for m in has)
        lines.append(f"{label},{len(has)},{len(has) / len(sources):.4g},{groups.iou[row]:.4g},{names}")
    return "\n".join(lines) + "\n"
