"""The table of nuclei against scikit-image's regionprops_table and marching cubes; a part of ``make bench``.

Each side runs in a process of its own (this program with its name and a folder), on the same two files. The columns of
both are comparable: sizes, centroids, boxes, principal axes, intensities and surfaces; scikit-image has no neighbours.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "common"), str(ROOT)]

from bench_tools import Row, ellipsoids

VOXEL_SIZE = (0.5, 0.25, 0.25)
CASES = {"M": ((128, 512, 512), 2_000, 3), "L": ((256, 1024, 1024), 20_000, 1)}
"""Shape, nuclei and runs of each side."""

PROPERTIES = ["label", "area", "bbox", "centroid", "equivalent_diameter_area", "inertia_tensor_eigvals"]
PROPERTIES += ["axis_major_length", "axis_minor_length"]
PROPERTIES += ["intensity_mean", "intensity_std", "intensity_min", "intensity_max"]


def bench_morphometry(work: Path, cases: str = "M") -> Iterator[Row]:
    """Time, processor time, and peak memory with the inputs."""
    for case in cases:
        shape, count, repeats = CASES[case]
        folder = work / case
        folder.mkdir()
        labels = ellipsoids(shape, count)
        np.save(folder / "labels.npy", labels)
        noise = np.random.default_rng(1).integers(0, 100, shape[1:], np.uint16)
        np.save(folder / "data.npy", np.where(labels > 0, np.uint16(1000), np.uint16(100)) + noise)
        del labels
        sides: dict[str, list[dict[str, float]]] = {"reference": [], "ours": []}
        for _ in range(repeats):
            for side, runs in sides.items():
                words = [sys.executable, __file__, side, str(folder)]
                done = subprocess.run(words, capture_output=True, text=True, check=True)
                runs.append(json.loads(done.stdout))
        inputs = f"  peak memory, of which inputs {4 * np.prod(shape) / 2**20:.0f} MiB"
        what = f"table of {count:,} nuclei, {' x '.join(map(str, shape))}"
        for name, key, unit in (
            (what, "seconds", "s"),
            ("  processor time", "processor", "s"),
            (inputs, "mib", "MiB"),
        ):
            reference, ours = (median(run[key] for run in runs) for runs in sides.values())
            yield Row(name, f"{reference:.1f} {unit}", f"{ours:.1f} {unit}", f"{ours / reference:.2f}", "< 1")


def measure_side(side: str, folder: Path) -> None:
    """Make the table and print what it took."""
    labels, data = np.load(folder / "labels.npy"), np.load(folder / "data.npy")
    call = {"ours": _ours, "reference": _reference}[side]
    # Imports and caches are no part of the table.
    call(labels[:8, :32, :32], data[:8, :32, :32])
    begun, used = time.perf_counter(), time.process_time()
    table = call(labels, data)
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert len(table["label"]) == len(np.unique(labels)) - 1
    print(json.dumps({"seconds": seconds, "processor": processor, "mib": mib}))


def _ours(labels: np.ndarray, data: np.ndarray) -> dict[str, np.ndarray]:
    from nucseg.morphometry import measure
    from nucseg.volume import Volume

    return measure(labels, Volume(data, VOXEL_SIZE, Path("bench")))


def _reference(labels: np.ndarray, data: np.ndarray) -> dict[str, np.ndarray]:
    from skimage.measure import marching_cubes, mesh_surface_area, regionprops_table

    def area(mask: np.ndarray) -> Any:
        vertices, faces = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=VOXEL_SIZE)[:2]
        return mesh_surface_area(vertices, faces)

    return regionprops_table(labels, data, properties=PROPERTIES, spacing=VOXEL_SIZE, extra_properties=[area])


if __name__ == "__main__":
    measure_side(sys.argv[1], Path(sys.argv[2]))
