"""``comparison.json``, what the report is made from: the keys that there may be, and null for those that aren't."""

from typing import Any

from nucseg.record import read_json
from nucseg_launcher.layout import OutFolder

_WHOLE = [
    "nucseg",
    "made",
    "input",
    "ground_truth",
    "methods",
    "volumes",
    "results",
    "ranking",
    "agreement",
    "disagreements",
    "warnings",
]
_METHOD = [
    "name",
    "source",
    "labels",
    "measurements",
    "status",
    "cause",
    "hint",
    "image",
    "image_id",
    "image_digest",
    "image_size_bytes",
    "weights",
    "command",
    "citation",
    "engine",
    "seconds",
    "peak_memory_bytes",
    "peak_gpu_bytes",
]
_VOLUME = ["name", "stem", "shape", "voxel_size_um"]
_RESULT = [
    "method",
    "volume",
    "status",
    "nuclei",
    "seconds",
    "peak_memory_mib",
    "cause",
    "hint",
    "problems",
    "scores",
    "volume_um3",
    "volume_voxels",
    "sphericity",
]
_SCORES = [
    "f1_by_iou",
    "f1_50",
    "precision_50",
    "recall_50",
    "f1_75",
    "mean_matched_iou",
    "seg",
    "aji",
    "dice",
    "adapted_rand_error",
    "voi_split",
    "voi_merge",
    "hausdorff95_um",
    "assd_um",
    "nsd",
    "n_true",
    "count_error",
    "n_splits",
    "n_merges",
    "n_missed",
    "n_spurious",
]


def read_comparison(out: OutFolder) -> dict[str, Any]:
    """The comparison of an output folder with every key; empty when there is none."""
    found = read_json(out.comparison)
    if not found:
        return {}
    comparison = _complete(found, _WHOLE)
    for key, names in (("methods", _METHOD), ("volumes", _VOLUME), ("results", _RESULT)):
        comparison[key] = [_complete(entry, names) for entry in comparison[key] or []]
    for key in ("disagreements", "warnings"):
        comparison[key] = comparison[key] or []
    for row in comparison["results"]:
        row["scores"] = _complete(row["scores"], _SCORES) if row["scores"] else None
        row["problems"] = row["problems"] or []
    return comparison


def _complete(entry: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return dict.fromkeys(names) | entry
