"""The consensus of an output folder: label images and tables of support."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nucseg.comparison.consensus import Consensus, draw_consensus
from nucseg.comparison.groups import Groups, group_objects, overlap_tables
from nucseg.errors import USAGE, NucsegError
from nucseg.formats import image_stem, write_labels
from nucseg_launcher.comparison.sources import images_of, sources_of
from nucseg_launcher.comparison.volumes import label_files, voxel_size_of
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.record import write_text
from nucseg_launcher.units import count_text


def write_consensus(out: OutFolder) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Write ``consensus/labels/<image>.tif`` and ``consensus/support/<image>.csv`` for each image.

    The columns of a table are ``label``, ``support`` (how many methods have the nucleus), ``share`` (of those that have
    labels of the image), ``mean_iou`` (of the object that it was built around with the others') and ``methods``.

    Returns
    -------
    counts : dict
        Per image, the number of nuclei of the majority, and of those that only a minority has.
    warnings : list of str
        What had to be left out.

    Raises
    ------
    NucsegError
        USAGE: fewer than two methods have label images there.
    """
    sources = [source for source in sources_of(out, {}) if source.files]
    if len(sources) < 2:
        raise NucsegError(
            f"{out.path} holds label images of {count_text(len(sources), 'method')}: a majority needs more methods",
            "nucseg compare METHOD,METHOD,METHOD IN OUT",
            USAGE,
        )
    labels, support = out.consensus_labels, out.consensus_support
    for folder in (labels, support):
        folder.mkdir(parents=True, exist_ok=True)
    counts, warnings = {}, []
    for image in images_of(sources):
        files, left_out = label_files(image, sources)
        warnings += left_out
        if len(files) < 2:
            warnings.append(f"{image} has no consensus: fewer than two methods have labels of it")
            continue
        images = list(files.values())
        groups = group_objects(overlap_tables(images), len(images))
        drawn = draw_consensus(images, groups)
        target = labels / f"{image_stem(Path(image))}.tif"
        write_labels(target, drawn.labels, voxel_size_of(image, sources, files))
        write_text(support / f"{image_stem(Path(image))}.csv", _table(groups, drawn, list(files)))
        counts[image] = (len(drawn.group), len(groups.labels) - len(drawn.group))
    return counts, warnings


def _table(groups: Groups, drawn: Consensus, names: Sequence[str]) -> str:
    lines = ["label,support,share,mean_iou,methods"]
    for label, row in enumerate(drawn.group, 1):
        has = np.flatnonzero(groups.labels[row]).tolist()
        who = "+".join(names[m] for m in has)
        lines.append(f"{label},{len(has)},{len(has) / len(names):.4g},{groups.iou[row]:.4g},{who}")
    return "\n".join(lines) + "\n"
