"""Speed and memory against upstream StarDist on TensorFlow: ``make bench``.

Usage: bench.py [--oracle-python PYTHON] [--repeats N] [--device cuda] [--large] [PART ...]

Prints one table of ratios. Both sides get the same threads, and their runs alternate, so that what
else the machine does falls on both; still, only ratios mean something. Upstream runs in a Python
environment of its own; without --oracle-python, one is made once in the user's cache folder.
NUCSEG_SHARED is a folder with ``data/weights``, whose published StarDist models are
measured too. Nothing here passes or fails.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "common"), str(ROOT)]

from bench_methods import measure_methods
from bench_metrics import bench_metrics
from bench_morphometry import bench_morphometry
from bench_tools import SHAPE, Row, Seconds, alternate, compare, measure, print_table, ratio, real_image
from bench_whole import bench_container, bench_memory
from data_folders import shared_folder
from images.stardist3d.config import StarDistConfig
from images.stardist3d.converter import load_folder
from images.stardist3d.prediction import Polyhedra, predict, predict_candidates, render
from images.stardist3d.segmenter import build
from images.stardist3d.suppression import suppress
from nucseg.machine import usable_cores
from nucseg.metrics.matching import match
from nucseg.runtime import compile_network
from nucseg.tiling import padded_shape, plan_tiles
from parity import ArrayView, make_oracle

UNET = {"backbone": "unet", "grid": [1, 2, 2], "n_rays": 96}
PARTS = ("upstream", "shipped", "metrics", "morphometry", "memory", "container")
CANDIDATES = 1000
RADIUS = 6.0


class Oracle:
    """Upstream in its own process."""

    def __init__(self, python: Path, threads: int) -> None:
        script = Path(__file__).with_name("bench_oracle.py")
        log = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        self.process = subprocess.Popen(
            [python, script, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.log = log

    def ask(self, **request: Any) -> dict[str, float]:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.log.seek(0)
            sys.exit(f"upstream failed:\n{self.log.read().decode()[-3000:]}")
        return json.loads(answer)

    def measure(self, **request: Any) -> Seconds:
        """Send a request for a measurement."""
        answer = self.ask(**request)
        return answer["seconds"], answer["processor"]

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def bench_model(name: str, folder: Path, oracle: Oracle, image: Path, repeats: int) -> Iterator[Row]:
    """All comparisons of one model that both sides can load."""
    config, state, _ = load_folder(folder)
    thresholds = {"prob": 0.5, "nms": 0.4}
    view = ArrayView(np.load(image))
    batch = view.data[None, None]
    networks = {exact: compile_network(build(config, state), "cpu", exact=exact) for exact in (True, False)}

    def upstream_network() -> Seconds:
        return oracle.measure(do="network", image=str(image))

    times = alternate(
        repeats,
        upstream_network,
        lambda: measure(lambda: networks[True](batch)),
        lambda: measure(lambda: networks[False](batch)),
    )
    yield from compare(f"{name}: network, exact", times[0], times[1], "0.5")
    yield from compare(f"{name}: network, default", times[0], times[2], "0.25")

    labels: dict[bool, np.ndarray] = {}

    def segment(exact: bool) -> None:
        labels[exact] = predict(networks[exact], view, config, thresholds).labels

    wanted = image.with_name("upstream.npy")

    def upstream_predict() -> Seconds:
        return oracle.measure(do="predict", image=str(image), labels=str(wanted), **thresholds)

    times = alternate(
        max(1, repeats // 2),
        upstream_predict,
        lambda: measure(lambda: segment(True)),
        lambda: measure(lambda: segment(False)),
    )
    yield from compare(f"{name}: end to end, exact", times[0], times[1], "< 1")
    yield from compare(f"{name}: end to end, default", times[0], times[2], "< 1")
    differing = int((labels[True] != np.load(wanted)).sum())
    nuclei = int(labels[True].max())
    agreement = match(labels[True], labels[False], (0.9,))[0].f1
    yield Row(f"{name}: voxels that differ, exact", "", f"{differing}", f"of {nuclei} nuclei", "0")
    yield Row(f"{name}: F1 at IoU 0.9, default to exact", "", f"{agreement:.4f}", "", ">= 0.99")
    yield from bench_instances(name, networks[True], view, config, thresholds, repeats)


def bench_instances(
    name: str, network: Any, view: ArrayView, config: StarDistConfig, thresholds: dict[str, float], repeats: int
) -> Iterator[Row]:
    """Suppression and rendering of the same candidates, upstream's functions against ours."""
    from stardist.geometry import polyhedron_to_label
    from stardist.nms import non_maximum_suppression_3d_sparse

    tiles = plan_tiles(view.shape, padded_shape(view.shape, config.divisor), (0, 0, 0), config.divisor)
    found: Polyhedra = predict_candidates(network, view, config, thresholds["prob"], tiles)
    rays = config.rays()

    def upstream() -> None:
        points, prob, dist = non_maximum_suppression_3d_sparse(
            found.dist, found.prob, found.points, rays=rays, nms_thresh=thresholds["nms"]
        )[:3]
        polyhedron_to_label(dist, points, rays, view.shape, prob=prob, verbose=False)

    def ours() -> None:
        order = suppress(found.points, found.dist, found.prob, rays, thresholds["nms"])
        render(found[order], view, config)

    from images.stardist3d.native import quiet_native_code

    def quietly(call: Callable[[], None]) -> Seconds:
        with quiet_native_code():
            return measure(call)

    times = alternate(max(1, repeats // 2), lambda: quietly(upstream), lambda: quietly(ours))
    yield from compare(f"{name}: suppression and drawing of {len(found)} candidates", times[0], times[1], "<= 1")


def bench_shipped(raw: np.ndarray, repeats: int, device: str) -> Iterator[Row]:
    """Every method's own network, and what its default precision changes in the labels."""
    for speed in measure_methods(raw, repeats, device):
        for what, seconds, aim in (("exact", speed.exact, "0.5"), ("default", speed.default, "0.25")):
            name, ours = f"{speed.method}: network, {what}", ratio(seconds / speed.upstream)
            yield Row(name, f"{speed.upstream:.3g} s", f"{seconds:.3g} s", ours, aim)
        what = f"{speed.method}: F1 at IoU 0.9, default to exact ({speed.nuclei} nuclei)"
        yield Row(what, "", f"{speed.f1:.4f}", "", ">= 0.99")


def models(work: Path, oracle: Oracle, image: Path) -> Iterator[tuple[str, Path]]:
    """Each model by name and folder; the oracle has loaded it."""
    unet = work / "unet"
    oracle.ask(do="make", folder=str(unet), image=str(image), candidates=CANDIDATES, radius=RADIUS, config=UNET)
    yield "U-Net 1,2,2", unet
    shared = shared_folder()
    for folder in sorted((shared / "data" / "weights").glob("stardist3d_*")) if shared else []:
        copy = work / folder.name
        shutil.copytree(folder, copy, copy_function=shutil.copyfile)
        copy.chmod(0o755)
        oracle.ask(do="load", folder=str(copy))
        yield folder.name.removeprefix("stardist3d_"), copy


def main() -> int:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle-python", type=Path, help="Python with stardist and TensorFlow")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="of the part shipped")
    parser.add_argument("--large", action="store_true", help="metrics and morphometry on 256 x 1024 x 1024 too: 15 GB")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure, all by default: {', '.join(PARTS)}")
    args = parser.parse_args()
    parts = args.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}")
    threads = usable_cores()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    rows: list[Row] = []

    def tell(found: Iterable[Row]) -> None:
        for row in found:
            print(f"  {row.what}: {row.ours} {row.ratio}", flush=True)
            rows.append(row)

    with tempfile.TemporaryDirectory(prefix="nucseg-bench-") as name:
        work = Path(name)
        if "upstream" in parts:
            from csbdeep.utils import normalize

            image = work / "image.npy"
            np.save(image, normalize(real_image(), 1, 99.8).astype(np.float32))
            oracle = Oracle(args.oracle_python or make_oracle(), threads)
            for model, folder in models(work, oracle, image):
                print(f"Measuring {model} ...", flush=True)
                tell(bench_model(model, folder, oracle, image, args.repeats))
            oracle.close()
        if "shipped" in parts:
            tell(bench_shipped(real_image()[:31, :61, :57], args.repeats, args.device))
        if "metrics" in parts:
            tell(bench_metrics(args.repeats, large=args.large))
        if "morphometry" in parts:
            tell(bench_morphometry(work, "ML" if args.large else "M"))
        if "memory" in parts:
            tell(bench_memory(work))
        if "container" in parts:
            tell(bench_container(work))
    load = os.getloadavg()[1]
    where = f"{' x '.join(map(str, SHAPE))} where not said"
    print(f"\n{where}, {threads} threads, mean load {load:.1f} in the last 5 minutes\n")
    print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
