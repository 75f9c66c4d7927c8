"""A small output folder as `nucseg compare` leaves it: two methods that ran, one that failed, two volumes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nucseg.formats import write_labels, write_volume
from nucseg.metrics.matching import match
from nucseg.morphometry.files import write_table
from nucseg.morphometry.table import measure
from nucseg.volume import Triple, Volume
from nucseg_launcher.layout import OutFolder

SHAPE = (14, 44, 52)
VOXELS: dict[str, Triple | None] = {"first.tif": (0.5, 0.25, 0.25), "second.tif": None}
FOUND = {"exact": range(12), "half": range(0, 12, 2)}
"""Which of the twelve nuclei each method finds."""


def balls(numbers: range) -> np.ndarray:
    """Labels 1, 2, ...: balls in two layers of two rows, of those places that are asked for."""
    z, y, x = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.uint16)
    for label, number in enumerate(numbers, 1):
        layer, row, column = number // 6, number // 3 % 2, number % 3
        centre = (3.5 + 7 * layer, 11 + 22 * row, 9 + 17 * column)
        labels[(2 * (z - centre[0])) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= 36] = label
    return labels


def write_example(
    folder: Path, *, ground_truth: bool = True, methods: tuple[str, ...] = ("exact", "half", "broken")
) -> OutFolder:
    """Write images, labels, tables and ``comparison.json``."""
    images, truth, out = folder / "images", folder / "truth", OutFolder(folder / "out")
    for path in (images, truth, out.path):
        path.mkdir(parents=True)
    true = balls(FOUND["exact"])
    results: list[dict[str, Any]] = []
    for name, voxel in VOXELS.items():
        noise = np.random.default_rng(0).normal(60, 12, SHAPE)
        image = Volume((noise + 120 * (true > 0)).clip(0, 255).astype(np.uint8), voxel, images / name)
        write_volume(image.source, image.data, voxel)
        write_labels(truth / name, true, voxel)
        results += [_result(out, method, image, true, ground_truth) for method in methods]
    comparison = {
        "nucseg": "0.1.0",
        "made": "2026-11-25T12:00:00+00:00",
        "input": str(images),
        "ground_truth": str(truth) if ground_truth else None,
        "methods": [_method(name) for name in methods],
        "volumes": [
            {"name": name, "stem": Path(name).stem, "shape": SHAPE, "voxel_size_um": voxel}
            for name, voxel in VOXELS.items()
        ],
        "results": results,
    }
    if len(methods) > 1:
        comparison["agreement"] = {
            "threshold": 0.5,
            "matrix": {"exact": {"exact": 1.0, "half": 2 / 3}, "half": {"exact": 2 / 3, "half": 1.0}},
            "rows": [{"method": name, "mean": 2 / 3, "low": 0.5, "high": 0.8} for name in ("exact", "half")],
            "recommendation": {"method": "exact", "certainty": "low", "text": "Take exact; two methods are few."},
        }
        comparison["disagreements"] = [
            {
                "volume": "first.tif",
                "centre": [3, 11, 26],
                "box": [[0, 7], [4, 18], [19, 33]],
                "counts": {"exact": 1, "half": 0},
                "score": 0.5,
            }
        ]
    out.comparison.write_text(json.dumps(comparison), encoding="utf-8")
    out.citation.write_text("# What to cite\n\n- exact: Euclid, Elements\n- nucseg: version 0.1.0\n", encoding="utf-8")
    return out


def _method(name: str) -> dict[str, Any]:
    ran = name in FOUND
    return {
        "name": name,
        "source": "run",
        "labels": f"methods/{name}/labels",
        "measurements": f"methods/{name}/measurements",
        "status": "done" if ran else "failed",
        "cause": None if ran else "the container needed more memory than there is",
        "hint": None if ran else "--memory 8g",
        "image": f"nucseg/{name}:v0.1.0",
        "command": f"docker run --rm nucseg/{name}:v0.1.0 --in /data --out /out",
        "peak_memory_bytes": 500_000_000 if ran else None,
    }


def _result(out: OutFolder, method: str, image: Volume, true: np.ndarray, scored: bool) -> dict[str, Any]:
    name = image.source.name
    if method not in FOUND:
        return {"method": method, "volume": name, "status": "not done"}
    folder, labels = out.method(method), balls(FOUND[method])
    folder.labels.mkdir(parents=True, exist_ok=True)
    folder.measurements.mkdir(exist_ok=True)
    write_labels(folder.labels / name, labels, image.voxel_size)
    table = measure(labels, image)
    write_table(folder.measurements / f"{image.source.stem}.csv", table)
    result: dict[str, Any] = {
        "method": method,
        "volume": name,
        "status": "done",
        "nuclei": int(labels.max()),
        "seconds": 2.0 + len(FOUND[method]),
        "sphericity": {"q05": 0.8, "q25": 0.85, "q50": 0.9, "q75": 0.92, "q95": 0.95},
    }
    if image.voxel_size:
        ends = np.quantile(table["volume_um3"], (0.05, 0.25, 0.5, 0.75, 0.95)).tolist()
        result["volume_um3"] = dict(zip(("q05", "q25", "q50", "q75", "q95"), ends, strict=True))
    if scored:
        scores = match(true, labels, (0.5, 0.75))
        result["scores"] = {
            "f1_by_iou": [asdict(score) for score in scores],
            "f1_50": scores[0].f1,
            "precision_50": scores[0].precision,
            "recall_50": scores[0].recall,
            "f1_75": scores[1].f1,
            "n_true": int(true.max()),
            "count_error": int(labels.max()) - int(true.max()),
        }
        missed = len(FOUND["exact"]) - len(FOUND[method])
        result["scores"] |= {"n_splits": 0, "n_merges": 0, "n_missed": missed, "n_spurious": 0}
    return result
