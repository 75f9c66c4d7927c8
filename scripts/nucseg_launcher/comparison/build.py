"""``comparison.json``: the methods of an output folder side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nucseg import __version__
from nucseg.comparison.agreement import FEWEST, agreement
from nucseg.comparison.groups import SAME
from nucseg.comparison.ranking import Rank, bootstrap, f1_of, rank
from nucseg.errors import NucsegError
from nucseg.progress import say
from nucseg_launcher.comparison.sources import Source, folder_of_all, images_of, sources_of
from nucseg_launcher.comparison.volumes import VolumeComparison, compare_volume
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.record import now, write_json
from nucseg_launcher.units import count_text

SEED = 0
"""Of the bootstrap: the same results give the same intervals."""

CERTAIN = ((0.95, "high"), (0.7, "moderate"), (0.0, "low"))
"""From which share of the bootstrap's replicates on a first place is how certain."""

_IN_WORDS = {"high": "nearly certain", "moderate": "likely", "low": "not certain"}


def write_comparison(out: OutFolder, gt_dir: Path | None, also: Mapping[str, Path]) -> dict[str, Any]:
    """Compare what lies in an output folder and write ``comparison.json``.

    Parameters
    ----------
    out : OutFolder
    gt_dir : pathlib.Path or None
        Ground truth; None for that of the runs.
    also : mapping of str to pathlib.Path
        Further folders of label images, by name.

    Returns
    -------
    dict
        What was written; `descriptors/comparison.schema.json` says what each part is.

    Raises
    ------
    NucsegError
        There is nothing to compare.
    """
    sources = sources_of(out, also)
    input_dir, warnings = folder_of_all(out, "input")
    known, others = folder_of_all(out, "ground_truth")
    gt_dir, warnings = gt_dir or known, [*warnings, *([] if gt_dir else others)]
    images = images_of(sources)
    truths, problems = _ground_truth(gt_dir, images)
    warnings += problems
    volumes = []
    for number, image in enumerate(images, 1):
        if len(sources) > 1 or truths:
            say(f"comparing {number}/{len(images)} {image}")
        volumes.append(compare_volume(image, sources, truths.get(image)))
    agreed, incomplete = _agreement(volumes)
    warnings += incomplete
    content = {
        "nucseg": __version__,
        "made": now(),
        "input": str(input_dir) if input_dir else None,
        "ground_truth": str(gt_dir) if gt_dir else None,
        "methods": [source.facts for source in sources],
        "volumes": [volume.facts for volume in volumes],
        "results": [result for volume in volumes for result in volume.results],
        "ranking": _ranking(sources, volumes),
        "agreement": agreed,
        "disagreements": sorted(
            (region for volume in volumes for region in volume.disagreements), key=lambda region: -region["missing"]
        ),
        "warnings": [*warnings, *(text for volume in volumes for text in volume.warnings)],
    }
    write_json(out.comparison, content)
    return content


def _ground_truth(gt_dir: Path | None, images: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    from nucseg.folders import find_ground_truth

    if gt_dir is None:
        return {}, []
    try:
        found = find_ground_truth(gt_dir, [Path(image) for image in images])
    except NucsegError as error:
        return {}, [f"no scores: {error}"]
    missing = [image for image in images if Path(image) not in found]
    lacking = [f"no ground truth in {gt_dir} for {', '.join(missing)}"] * bool(missing)
    return {path.name: truth for path, truth in found.items()}, lacking


def _ranking(sources: Sequence[Source], volumes: Sequence[VolumeComparison]) -> dict[str, Any] | None:
    found = [volume.found for volume in volumes if volume.found is not None]
    if not found:
        return None
    names = [source.name for source in sources]
    means = np.mean([f1_of(each) for each in found], axis=0)
    rows = rank(names, means.tolist(), bootstrap(found, np.random.default_rng(SEED)))
    verb = "has the highest F1" if len(rows) > 1 else "reaches an F1"
    text = (
        f"{rows[0].method} {verb} of {_range(rows[0])} at IoU {SAME:g}, the mean of {count_text(len(found), 'volume')}"
    )
    if len(rows) > 1:
        text += f". That it is the best of these is {_IN_WORDS[_certainty(rows[0])]}"
        text += f": first in {rows[0].best_probability:.0%} of resamplings"
    if len(found) == 1:
        text += ". With one volume, nothing is known about other specimens"
    return {"by": f"F1 at IoU {SAME:g}", "rows": [asdict(row) for row in rows], "text": text + "."}


def _agreement(volumes: Sequence[VolumeComparison]) -> tuple[dict[str, Any] | None, list[str]]:
    """Of the methods that have label images, over the volumes of which all of them have one; and warnings."""
    compared = [volume for volume in volumes if volume.compared]
    names = list(dict.fromkeys(name for volume in compared for name in volume.compared))
    complete = [volume for volume in compared if len(volume.compared) == len(names)]
    warnings = []
    if len(complete) < len(compared):
        told = f"only {len(complete)} of {len(volumes)} volumes count for the agreement of methods"
        warnings.append(f"{told}: of the others, not all of {', '.join(names)} have labels")
    if not complete:
        return None, warnings
    names = complete[0].compared
    result = agreement(names, [volume.tables for volume in complete], np.random.default_rng(SEED))
    rows = [dict(zip(names, row.round(4).tolist(), strict=True)) for row in result.matrix]
    content = {
        "threshold": SAME,
        "matrix": dict(zip(names, rows, strict=True)),
        "rows": [asdict(row) for row in result.ranks],
        "recommendation": _recommendation(result.ranks),
    }
    return content, warnings


def _recommendation(ranks: Sequence[Rank]) -> dict[str, Any] | None:
    """What to do without ground truth, and how sure that is; None where two methods cannot outvote each other."""
    if len(ranks) < FEWEST:
        return None
    best = ranks[0]
    text = (
        f"{best.method} agrees most with the others ({_range(best)}). Methods that make the same mistakes agree too: "
        f"look at the places where they differ before you rely on it."
    )
    return {"method": best.method, "certainty": _certainty(best), "text": text}


def _certainty(best: Rank) -> str:
    return next(word for share, word in CERTAIN if best.best_probability >= share)


def _range(row: Rank) -> str:
    return f"{row.mean:.2f} (95% interval {row.low:.2f} to {row.high:.2f})"
