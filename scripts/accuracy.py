"""Accuracy of the shipped weights on volumes they never saw: ``make accuracy`` writes it into cards and README.

Every method runs as users run it (the container's entrypoint, as a plain process) over the
development volumes, with default parameters; beside it stands the classical pipeline of Gaussian
blur, Otsu threshold and distance-transform watershed. The volumes are not part of the project: their
folder is named by NUCSEG_SHARED (it holds ``data/volumes/<name>/image.tif`` and ``labels.tif``).
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_folders import real_volumes
from nucseg.formats import read_labels, read_volume
from nucseg.method import list_methods
from nucseg.metrics.matching import match
from nucseg.models import shipped_models
from nucseg.scaling import isotropic
from nucseg.volume import Volume

ROOT = Path(__file__).resolve().parents[1]
VOLUMES = ("qcanet_mouse_embryo_16cell", "lightsheet_root_nuclei", "cells3d_nuclei")
COLUMNS = ("precision", "recall", "f1", "f1_75", "mean_matched_iou", "seconds", "peak_mib")

Row = dict[str, float]


def classical(volume: Volume) -> np.ndarray:
    """Gaussian blur, Otsu threshold, distance-transform watershed with scikit-image."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu
    from skimage.segmentation import watershed

    spacing = np.array(volume.voxel_size or (1, 1, 1)) / isotropic(volume)
    smooth = gaussian(volume.data.astype(np.float32), 1.5 / spacing)
    mask = smooth > threshold_otsu(smooth)
    distance = gaussian(ndimage.distance_transform_edt(mask, sampling=spacing), 2 / spacing)
    seeds = np.zeros(volume.shape, np.int32)
    peaks = peak_local_max(distance, min_distance=4, labels=mask.astype(np.uint8))
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=mask)


def score(truth: np.ndarray, labels: np.ndarray, seconds: float, peak: float) -> Row:
    """One row of the table."""
    half, strict = match(truth, labels, (0.5, 0.75))
    return {
        "precision": half.precision,
        "recall": half.recall,
        "f1": half.f1,
        "f1_75": strict.f1,
        "mean_matched_iou": half.mean_matched_iou,
        "seconds": seconds,
        "peak_mib": peak,
    }


def run_classical(folder: Path) -> Iterator[tuple[str, Row]]:
    """Rows of the classical pipeline."""
    for path in sorted((folder / "images").iterdir()):
        begun = time.monotonic()
        labels = classical(read_volume(path))
        yield path.stem, score(read_labels(folder / "truth" / path.name), labels, time.monotonic() - begun, np.nan)


def run_method(method: str, folder: Path, flags: list[str]) -> Iterator[tuple[str, Row]]:
    """Rows of a method, run in a process of its own."""
    out = folder / method
    words = ["--in", str(folder / "images"), "--out", str(out), *flags]
    environment = os.environ | {"NUCSEG_METHOD": method, "NUCSEG_ROOT": str(ROOT)}
    subprocess.run([sys.executable, "-m", "nucseg.app", *words], env=environment, check=True)
    for image in json.loads((out / "nucseg_run.json").read_text())["images"]:
        truth, labels = (read_labels(base / image["file"]) for base in (folder / "truth", out))
        yield Path(image["file"]).stem, score(truth, labels, image["seconds"], image["peak_memory_mib"])


def mean(rows: dict[str, Row]) -> Row:
    """Mean of every column over the volumes."""
    return {column: float(np.mean([row[column] for row in rows.values()])) for column in COLUMNS}


def table(rows: dict[str, Row], first: str = "volume") -> str:
    """Markdown table."""
    lines = [
        f"| {first} | precision | recall | F1 at IoU 0.5 | F1 at IoU 0.75 | mean matched IoU | seconds | peak MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        shown = [f"{row[column]:.2f}" for column in COLUMNS[:5]]
        shown += ["-" if np.isnan(row[column]) else f"{row[column]:.0f}" for column in COLUMNS[5:]]
        lines.append(" | ".join(["| " + name, *shown]) + " |")
    return "\n".join(lines)


def write_table(path: Path, text: str) -> None:
    """Put a table between the marks in a Markdown file."""
    marks = r"(<!-- accuracy -->\n).*?(<!-- /accuracy -->)"
    path.write_text(re.sub(marks, lambda m: f"{m[1]}{text}\n{m[2]}", path.read_text(), flags=re.DOTALL))


def shipped(methods: list[str]) -> list[str]:
    """Those methods that come with weights."""
    return [method for method in methods if shipped_models(ROOT / "images" / method)]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("methods", nargs="*", help="default: all")
    parser.add_argument("--volumes", nargs="+", default=VOLUMES)
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the tables into the method cards, and that of all methods into README.md",
    )
    parser.add_argument("--flag", action="append", default=[], help="flag for the method, such as --exact=true")
    arguments = parser.parse_args()
    source = real_volumes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, file in (("images", "image.tif"), ("truth", "labels.tif")):
            (folder / kind).mkdir()
            for volume in arguments.volumes:
                shutil.copyfile(source / volume / file, folder / kind / f"{volume}.tif")
        means: dict[str, Row] = {}
        rows = dict(run_classical(folder))
        means["blur, Otsu, watershed"] = mean(rows)
        print("classical pipeline", table(rows), sep="\n\n", end="\n\n", flush=True)
        for method in arguments.methods or shipped(list_methods(ROOT)):
            rows = dict(run_method(method, folder, arguments.flag))
            means[f"`{method}`"] = rows["**mean**"] = mean(rows)
            text = table(rows)
            print(method, text, sep="\n\n", end="\n\n", flush=True)
            if arguments.write:
                write_table(ROOT / "images" / method / "README.md", text)
        text = table(dict(sorted(means.items(), key=lambda item: -item[1]["f1"])), "mean over the volumes")
        print(text)
        if arguments.write and not arguments.methods:
            write_table(ROOT / "README.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
