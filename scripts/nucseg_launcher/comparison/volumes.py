"""The comparison of one volume: scores per method, who found which nucleus, where methods disagree."""

from collections.abc import Mapping, Sequence
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
    compared : list of str
        Names of the sources that have label images of it, where these are two or more.
    tables : dict
        Overlaps of each pair of them.
    found : Found or None
        Against the ground truth; None without.
    disagreements : list of dict
    warnings : list of str
    """

    facts: dict[str, Any]
    results: list[dict[str, Any]]
    compared: list[str] = field(default_factory=list)
    tables: Tables = field(default_factory=dict)
    found: Found | None = None
    disagreements: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def compare_volume(image: str, sources: Sequence[Source], truth: Path | None) -> VolumeComparison:
    """Compare the label images of one image.

    Against ground truth, a method that has none has found nothing; where the others agree, it has no say. What cannot
    be read is told and left out.

    At most two label images are in memory at a time, besides the one that holds the result.

    Parameters
    ----------
    image : str
        Its file name.
    sources : sequence of Source
    truth : pathlib.Path or None
        Its ground truth.
    """
    files, warnings = label_files(image, sources)
    shape = next((file.shape for file in files.values()), None)
    voxel_size = voxel_size_of(image, sources, files)
    facts = {"name": image, "stem": image_stem(Path(image)), "shape": shape, "voxel_size_um": voxel_size}
    results = [_result(image, source, files.get(source.name), warnings) for source in sources]
    volume = VolumeComparison(facts, results, warnings=warnings)
    if shape is None:
        return volume
    if truth is not None:
        everyone = [files.get(source.name) or no_labels(shape) for source in sources]
        try:
            volume.found = _against_truth(volume, everyone, read_labels(truth), voxel_size)
        except NucsegError as error:
            volume.warnings.append(f"{image}: no scores: {error}")
    if len(files) > 1:
        _against_each_other(volume, files)
    return volume


def label_files(image: str, sources: Sequence[Source]) -> tuple[dict[str, LabelFile], list[str]]:
    """The label images of one image, of one shape.

    Returns
    -------
    files : dict of str to LabelFile
        By the name of the source, in the order of the sources; those that have one.
    warnings : list of str
        What had to be left out.
    """
    files: dict[str, LabelFile] = {}
    warnings = []
    for source in sources:
        path = source.label_file(image)
        if path is None:
            continue
        try:
            file = open_labels(path)
            # Only the header has been read so far: a damaged plane would end the comparison of all volumes.
            for _ in file.slabs():
                pass
        except NucsegError as error:
            warnings.append(f"{source.name}: {image} is left out: {error}")
            continue
        shape = next((other.shape for other in files.values()), file.shape)
        if file.shape == shape:
            files[source.name] = file
        else:
            warnings.append(f"{source.name}: {image} has shape {file.shape}, not {shape}: left out")
    return files, warnings


def _against_each_other(volume: VolumeComparison, files: Mapping[str, LabelFile]) -> None:
    images, shape, voxel_size = list(files.values()), volume.facts["shape"], volume.facts["voxel_size_um"]
    tables = overlap_tables(images)
    groups = group_objects(tables, len(images))
    for region in worst_regions(groups, draw_consensus(images, groups), shape, voxel_size):
        centre = [(first + stop) / 2 for first, stop in region.box]
        counts = dict(zip(files, region.counts, strict=True))
        volume.disagreements.append(
            {"volume": volume.facts["name"], "centre": centre, **asdict(region), "counts": counts}
        )
    volume.compared, volume.tables = list(files), tables


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


def _result(image: str, source: Source, file: LabelFile | None, warnings: list[str]) -> dict[str, Any]:
    entry = source.entry(image)
    kept = ("status", "nuclei", "seconds", "peak_memory_mib", "cause", "hint", "problems")
    result = {"method": source.name, "volume": image, **{key: entry[key] for key in kept if key in entry}}
    if file is not None and "nuclei" not in result:
        result["nuclei"] = _count(file)
    table = source.measurements and source.measurements / f"{image_stem(Path(image))}.csv"
    if table and table.is_file() and file is not None:
        try:
            result |= _distributions(table)
        except (OSError, ValueError) as error:
            # Somebody may have edited it in a spreadsheet.
            warnings.append(f"{source.name}: {table.name} cannot be read as a table of measurements: {error}")
    return result


def _count(file: LabelFile) -> int:
    present: set[int] = set()
    for slab in file.slabs():
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


def voxel_size_of(image: str, sources: Sequence[Source], files: Mapping[str, LabelFile]) -> Triple | None:
    """As the first method that knows it used it, else as the first label image has it."""
    for source in sources:
        size = source.entry(image).get("voxel_size_um")
        if size:
            z, y, x = size
            return z, y, x
    return next((file.voxel_size for file in files.values() if file.voxel_size), None)
