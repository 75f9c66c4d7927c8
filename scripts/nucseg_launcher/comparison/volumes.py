"""The comparison of one volume: scores per method, who found which nucleus, where methods disagree."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.comparison.agreement import against_truth
from nucseg.comparison.consensus import draw_consensus
from nucseg.comparison.disagreement import worst_regions
from nucseg.comparison.groups import Tables, group_objects, overlap_tables
from nucseg.comparison.ranking import Found
from nucseg.errors import NucsegError
from nucseg.formats import image_stem, read_labels
from nucseg.formats.label_file import LabelFile, no_labels, open_labels
from nucseg.metrics.overlap import overlap_table
from nucseg.record import DONE
from nucseg.volume import Triple
from nucseg_launcher.comparison.scoring import score
from nucseg_launcher.comparison.sources import Source

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
DISTRIBUTIONS = ("volume_um3", "volume_voxels", "sphericity")
"""Columns of the table of nuclei whose distributions are compared."""


@dataclass
class VolumeComparison:
    """What was found out about one volume.

    Attributes
    ----------
    facts : dict
        Name, shape and voxel size.
    results : list of dict
        One per source.
    tables : dict
        Overlaps of each pair of sources; empty for a single one.
    found : Found or None
        Against the ground truth; None without.
    disagreements : list of dict
    warnings : list of str
    """

    facts: dict[str, Any]
    results: list[dict[str, Any]]
    tables: Tables = field(default_factory=dict)
    found: Found | None = None
    disagreements: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def compare_volume(image: str, sources: Sequence[Source], truth: Path | None) -> VolumeComparison:
    """Compare the label images of one image; a method that has none has found nothing.

    At most two label images are in memory at a time, besides the one that holds the result.

    Parameters
    ----------
    image : str
        Its file name.
    sources : sequence of Source
    truth : pathlib.Path or None
        Its ground truth.
    """
    results = [_result(image, source) for source in sources]
    files, warnings = label_files(image, sources)
    shape = files[0].shape if files else None
    voxel_size = voxel_size_of(image, sources)
    facts = {"name": image, "stem": image_stem(Path(image)), "shape": shape, "voxel_size_um": voxel_size}
    volume = VolumeComparison(facts, results, warnings=warnings)
    if files is None or shape is None:
        return volume
    if truth is not None:
        volume.found = _against_truth(volume, files, read_labels(truth), voxel_size)
    if len(sources) > 1:
        volume.tables = overlap_tables(files)
        groups = group_objects(volume.tables, len(sources))
        for region in worst_regions(groups, draw_consensus(files, groups), shape, voxel_size):
            centre = [(first + stop) / 2 for first, stop in region.box]
            counts = dict(zip((source.name for source in sources), region.counts, strict=True))
            volume.disagreements.append({"volume": image, "centre": centre, **asdict(region), "counts": counts})
    return volume


def label_files(image: str, sources: Sequence[Source]) -> tuple[list[LabelFile] | None, list[str]]:
    """The label images of one image, of one shape; a source without one has an image without nuclei.

    Returns
    -------
    files : list of LabelFile or None
        One per source; None when no source has one.
    warnings : list of str
        What had to be left out.
    """
    files: list[LabelFile | None] = []
    warnings = []
    for source in sources:
        path = source.label_file(image)
        try:
            files.append(open_labels(path) if path else None)
        except NucsegError as error:
            warnings.append(f"{source.name}: {image}: {error}")
            files.append(None)
    shape = next((file.shape for file in files if file is not None), None)
    if shape is None:
        return None, warnings
    for number, file in enumerate(files):
        if file is not None and file.shape != shape:
            warnings.append(f"{sources[number].name}: {image} has shape {file.shape}, not {shape}: left out")
            files[number] = None
    return [file or no_labels(shape) for file in files], warnings


def _against_truth(
    volume: VolumeComparison, files: Sequence[LabelFile], truth: np.ndarray, voxel_size: Triple | None
) -> Found | None:
    if truth.shape != files[0].shape:
        name = volume.facts["name"]
        volume.warnings.append(f"{name}: the ground truth has shape {truth.shape}, not {files[0].shape}: no scores")
        return None
    tables = []
    for file, result in zip(files, volume.results, strict=True):
        labels = file.read()
        if result["status"] == DONE:
            result["scores"], result["mistakes"] = score(truth, labels, voxel_size)
        tables.append(overlap_table(truth, labels))
    return against_truth(tables)


def _result(image: str, source: Source) -> dict[str, Any]:
    entry = source.entry(image)
    kept = ("status", "nuclei", "seconds", "peak_memory_mib", "cause", "hint", "problems")
    result = {"method": source.name, "volume": image, **{key: entry[key] for key in kept if key in entry}}
    path = source.label_file(image)
    if path is not None and "nuclei" not in result:
        result["nuclei"] = _count(path)
    table = source.measurements and source.measurements / f"{image_stem(Path(image))}.csv"
    if table and table.is_file() and path is not None:
        result |= _distributions(table)
    return result


def _count(path: Path) -> int:
    present: set[int] = set()
    for slab in open_labels(path).slabs():
        present.update(np.unique(slab).tolist())
    return len(present - {0})


def _distributions(path: Path) -> dict[str, dict[str, float]]:
    from nucseg.morphometry.files import read_table

    table = read_table(path)
    found = {}
    for name in DISTRIBUTIONS:
        values = table[name][np.isfinite(table[name])] if name in table else np.empty(0)
        if len(values):
            cuts = np.quantile(values, QUANTILES).tolist()
            found[name] = {f"q{round(100 * q):02}": float(f"{cut:.5g}") for q, cut in zip(QUANTILES, cuts, strict=True)}
    return found


def voxel_size_of(image: str, sources: Sequence[Source]) -> Triple | None:
    """As the first method that knows it used it, else as the first label image has it."""
    for source in sources:
        size = source.entry(image).get("voxel_size_um")
        if size:
            z, y, x = size
            return z, y, x
    paths = (source.label_file(image) for source in sources)
    return next((size for path in paths if path and (size := open_labels(path).voxel_size)), None)
