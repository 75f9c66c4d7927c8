"""Compare StarDist 3D here with upstream StarDist on TensorFlow: networks, candidates and labels, voxel for voxel.

Usage: parity.py [--oracle-python PYTHON] [--write-golden]

Upstream runs in a Python environment of its own; without --oracle-python, one is made once in the
user's cache folder. NUCSEG_SHARED is a folder with ``data/weights`` (published model
folders) and ``data/volumes``; without it only the random-weight models are compared.
--write-golden also rewrites tests/data/stardist3d, what `make test` compares with.
"""

import argparse
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from data_folders import shared_folder

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "common"), str(ROOT)]

from images.stardist3d.config import StarDistConfig
from images.stardist3d.converter import load_folder
from images.stardist3d.network import StarDist3D
from images.stardist3d.prediction import predict, predict_polyhedra
from nucseg.runtime import compile_network
from parity_cases import CASES, THRESHOLDS, make_image

ORACLE = ("tensorflow-cpu==2.21.0", "tf_keras==2.21.0", "keras==3.15.1", "stardist==0.9.2", "csbdeep==0.8.2")
GOLDEN = ROOT / "tests" / "data" / "stardist3d"
REAL_THRESHOLDS = [(0.5, 0.4), (0.4, 0.3)]
LARGEST = (40, 128, 128)
TOLERANCE = 1e-4
"""Of probabilities, and of distances relative to the largest: float32 sums in another order."""


@dataclass(frozen=True)
class ArrayView:
    """An array as a `nucseg.scaling.View` that does nothing; (Z, Y, X) or (C, Z, Y, X)."""

    data: np.ndarray
    zoom: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape without channels."""
        z, y, x = self.data.shape[-3:]
        return z, y, x

    @property
    def volume(self) -> Any:
        """What it is a view of."""
        return SimpleNamespace(shape=self.shape)

    def read(self, region: tuple[slice, slice, slice]) -> np.ndarray:
        """The block, with all channels."""
        return self.data[(..., *region)]

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """The same points."""
        return points


@dataclass
class Comparison:
    """One line of the table."""

    case: str
    image: str
    thresholds: str
    run: str
    candidates: int
    nuclei: int
    differing: int
    prob: float
    dist: float
    seconds: float

    @property
    def agrees(self) -> bool:
        """Labels equal voxel for voxel, outputs within float32's tolerance."""
        return self.differing == 0 and self.prob <= TOLERANCE and self.dist <= TOLERANCE


def main() -> int:
    """Run the comparison; 0 when everything agrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle-python", type=Path, help="Python with stardist and TensorFlow")
    parser.add_argument("--write-golden", action="store_true", help="rewrite tests/data/stardist3d")
    args = parser.parse_args()
    oracle = args.oracle_python or make_oracle()
    with tempfile.TemporaryDirectory(prefix="nucseg-parity-") as name:
        work = Path(name)
        cases = random_cases(work)
        if shared := shared_folder():
            cases += published_cases(shared, work)
        else:
            print("No NUCSEG_SHARED: published models on real volumes are left out.")
        for legacy in (False, True):
            run_oracle(oracle, [case for case in cases if case["legacy"] == legacy], legacy, work)
        lines = list(print_table(comparison for case in cases for comparison in compare(case)))
        if args.write_golden:
            write_golden([case for case in cases if "config" in case])
    failed = sum(not line.agrees for line in lines)
    print(f"{len(lines) - failed} of {len(lines)} comparisons agree.")
    return 1 if failed else 0


def make_oracle() -> Path:
    """Python of the TensorFlow environment, made on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "nucseg" / f"parity-{ORACLE[0].replace('==', '-')}"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        print(f"Making the TensorFlow environment in {folder} (once) ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *ORACLE], check=True)
        (folder / ".ready").touch()
    return python


def run_oracle(python: Path, cases: list[dict[str, Any]], legacy: bool, work: Path) -> None:
    """Let upstream work through the cases."""
    job = work / "job.json"
    job.write_text(json.dumps({"legacy_keras": legacy, "cases": cases}))
    print(f"Upstream, Keras {2 if legacy else 3}: {len(cases)} models ...", flush=True)
    script = Path(__file__).with_name("parity_oracle.py")
    done = subprocess.run([python, script, job], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"upstream failed:\n{done.stderr[-3000:]}")


def random_cases(work: Path) -> list[dict[str, Any]]:
    """The models of `parity_cases`."""
    cases = []
    for name, (seed, legacy, radius, config) in CASES.items():
        folder = work / name
        folder.mkdir()
        image = folder / "random.npy"
        np.save(image, make_image(config.get("n_channel_in", 1)))
        case = {"name": name, "folder": str(folder), "images": [str(image)], "thresholds": THRESHOLDS}
        cases.append({**case, "seed": seed, "legacy": legacy, "radius": radius, "config": config})
    return cases


def published_cases(shared: Path, work: Path) -> list[dict[str, Any]]:
    """Every published StarDist folder on every volume, large volumes cropped."""
    import tifffile
    from csbdeep.utils import normalize

    cases = []
    for folder in sorted((shared / "data" / "weights").glob("stardist3d_*")):
        images = []
        for path in sorted((shared / "data" / "volumes").glob("*/image.tif")):
            volume = tifffile.imread(path)
            if volume.ndim == 3:
                start = [max(0, n - m) // 2 for n, m in zip(volume.shape, LARGEST, strict=True)]
                volume = volume[tuple(slice(a, a + m) for a, m in zip(start, LARGEST, strict=True))]
                images.append(work / f"{path.parent.name}.npy")
                np.save(images[-1], normalize(volume, 1, 99.8).astype(np.float32))
        copy = work / folder.name
        shutil.copytree(folder, copy)
        names = [str(image) for image in images]
        case = {"name": folder.name, "folder": str(copy), "images": names, "thresholds": REAL_THRESHOLDS}
        cases.append({**case, "legacy": False})
    return cases


def compare(case: dict[str, Any]) -> Iterator[Comparison]:
    """Run our side, untiled and tiled, on all images and thresholds of a case."""
    import torch

    config, state, _ = load_folder(Path(case["folder"]))
    module = StarDist3D(config)
    module.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    network = compile_network(module, "cpu", exact=True)
    for path in map(Path, case["images"]):
        expected = np.load(path.with_name(f"expected_{path.stem}.npz"))
        image = np.load(path)
        view = ArrayView(image if image.ndim == 3 else np.moveaxis(image, -1, 0))
        prob, dist = output_differences(network, view, config, expected)
        for i, (prob_thresh, nms_thresh) in enumerate(case["thresholds"]):
            thresholds = {"prob": prob_thresh, "nms": nms_thresh}
            for run, tile in (("whole", None), ("tiled", small_tile(config, view.shape))):
                start = time.perf_counter()
                labels = predict(network, view, config, thresholds, tile).labels
                seconds = time.perf_counter() - start
                wanted = expected[f"labels_{i}"]
                yield Comparison(
                    case["name"],
                    path.stem,
                    f"{prob_thresh:g}/{nms_thresh:g}",
                    run,
                    int((expected["prob"] > prob_thresh).sum()),
                    int(wanted.max()),
                    int((labels != wanted).sum()),
                    prob,
                    dist,
                    seconds,
                )
            if f"class_prob_{i}" in expected:
                compare_classes(network, view, config, thresholds, expected[f"class_prob_{i}"])


def compare_classes(network: Any, view: ArrayView, config: StarDistConfig, thresholds: Any, wanted: np.ndarray) -> None:
    """Stop when the class probabilities of the nuclei differ."""
    found = predict_polyhedra(network, view, config, thresholds).class_prob
    if found is None or found.shape != wanted.shape or np.abs(found - wanted).max(initial=0) > TOLERANCE:
        sys.exit("class probabilities differ")


def small_tile(config: StarDistConfig, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """A tile that cuts the volume in three along each axis, where twice the receptive field leaves a core."""

    def size(length: int, field: int, step: int) -> int:
        steps, margins = ceil(length / step), 2 * ceil(field / step)
        return (margins + max(1, ceil((steps - margins) / 3))) * step

    z, y, x = map(size, shape, config.receptive_field, config.divisor)
    return z, y, x


def output_differences(network: Any, view: ArrayView, config: StarDistConfig, expected: Any) -> tuple[float, float]:
    """Largest difference of probabilities, and of distances relative to the largest one."""
    pad = [(0, -n % d) for n, d in zip(view.shape, config.divisor, strict=True)]
    data = view.data if view.data.ndim == 4 else view.data[None]
    logits, dist = network(np.pad(data, [(0, 0), *pad], mode="reflect")[None])[:2]
    crop = tuple(slice(0, n) for n in expected["prob"].shape)
    prob = 1 / (1 + np.exp(-logits[0, 0].astype(np.float64)))
    wanted = np.moveaxis(expected["dist"], -1, 0)
    found = np.maximum(dist[0], 1e-3)[(slice(None), *crop)]
    return float(np.abs(prob[crop] - expected["prob"]).max()), float(np.abs(found - wanted).max() / wanted.max())


def print_table(lines: Iterator[Comparison]) -> Iterator[Comparison]:
    """Print each line as it comes, and pass it on."""
    print(
        f"{'model':29}{'image':28}{'prob/nms':>9}{'run':>7}{'cand.':>7}{'nuclei':>7}"
        f"{'voxels differing':>17}{'prob':>9}{'dist (rel.)':>12}{'s':>7}"
    )
    for c in lines:
        print(
            f"{c.case:29}{c.image:28}{c.thresholds:>9}{c.run:>7}{c.candidates:>7}{c.nuclei:>7}"
            f"{c.differing:>17}{c.prob:>9.1e}{c.dist:>12.1e}{c.seconds:>7.2f}{'' if c.agrees else '  <-- DIFFERS'}",
            flush=True,
        )
        yield c


def write_golden(cases: list[dict[str, Any]]) -> None:
    """Put models and what upstream made of them into the tests."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(GOLDEN / "image.npz", image=np.round(make_image(2) * 32).astype(np.int8))
    for case in cases:
        source, target = Path(case["folder"]), GOLDEN / case["name"]
        target.mkdir(exist_ok=True)
        for name in ("config.json", "thresholds.json"):
            shutil.copyfile(source / name, target / name)
        (target / "weights_best.h5.xz").write_bytes(lzma.compress((source / "weights_best.h5").read_bytes()))
        expected = np.load(source / "expected_random.npz")
        kept = {
            "labels": expected["labels_0"].astype(np.uint16),
            # a sample tells a wrong layer as well as the whole
            "prob": expected["prob"][::4, ::3, ::3],
            "dist": expected["dist"][::4, ::3, ::3, ::8],
        }
        if "class_prob_0" in expected:
            kept["class_prob"] = expected["class_prob_0"]
        np.savez_compressed(target / "expected.npz", **kept)
    size = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    print(f"Wrote {len(cases)} golden models to {GOLDEN.relative_to(ROOT)}: {size / 1e6:.2f} MB.")


if __name__ == "__main__":
    sys.exit(main())
