"""Speed and memory against upstream StarDist on TensorFlow: ``make bench``.

Usage: bench.py [--oracle-python PYTHON] [--shared DIR] [--repeats N] [--without memory,container]

Prints one table of ratios. Both sides get the same threads, and their runs alternate, so that what
else the machine does falls on both; still, only ratios mean something. Upstream runs in a Python
environment of its own; without --oracle-python, one is made once in the user's cache folder.
--shared (or $NUCSEG_SHARED) is a folder with ``data/weights``, whose published StarDist models are
measured too. Nothing here passes or fails.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "common"), str(ROOT)]

from images.stardist3d.config import StarDistConfig
from images.stardist3d.converter import load_folder
from images.stardist3d.prediction import Polyhedra, predict_candidates, predict_labels, render_labels
from images.stardist3d.segmenter import build
from images.stardist3d.suppression import suppress
from nucseg.machine import usable_cores
from nucseg.runtime import compile_network
from nucseg.tiling import padded_shape, plan_tiles
from parity import ArrayView, make_oracle

SHAPE = (64, 256, 256)
LARGE = (256, 1024, 1024)
UNET = {"backbone": "unet", "grid": [1, 2, 2], "n_rays": 96}
CANDIDATES = 1000
RADIUS = 6.0

Seconds = tuple[float, float]
"""Of the clock, and of the processors together."""


@dataclass
class Row:
    """One line of the table: the reference, ours, and what ours is meant to stay below."""

    what: str
    reference: str
    ours: str
    ratio: str
    aim: str = ""


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


def measure(call: Callable[[], Any]) -> Seconds:
    """Time one call; what it gives is dropped."""
    begun, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - begun, time.process_time() - used


def alternate(repeats: int, *sides: Callable[[], Seconds]) -> list[Seconds]:
    """Medians of each side, run in turn; the first round, in which memory and caches are new, doesn't count."""
    runs = [[side() for side in sides] for _ in range(repeats + 1)][1:]
    return [
        (median(seconds for seconds, _ in side), median(processor for _, processor in side))
        for side in zip(*runs, strict=True)
    ]


def compare(what: str, reference: Seconds, ours: Seconds, aim: str) -> list[Row]:
    """A line for the clock and one for the processors, which other programs on the machine disturb less."""
    return [
        Row(what, f"{reference[0]:.2f} s", f"{ours[0]:.2f} s", f"{ours[0] / reference[0]:.2f}", aim),
        Row("  processor time", f"{reference[1]:.2f} s", f"{ours[1]:.2f} s", f"{ours[1] / reference[1]:.2f}"),
    ]


def real_image() -> np.ndarray:
    """The nuclei that the stardist package carries, mirrored up to `SHAPE`; raw intensities."""
    from importlib.util import find_spec

    import tifffile

    spec = find_spec("stardist")
    assert spec is not None
    assert spec.origin is not None
    image = tifffile.imread(Path(spec.origin).parent / "data" / "images" / "img3d.tif")
    return mirrored(image, SHAPE)


def mirrored(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The image continued by reflection."""
    return np.pad(image, [(0, max(0, n - m)) for n, m in zip(shape, image.shape, strict=True)], mode="symmetric")[
        tuple(slice(0, n) for n in shape)
    ]


def f1_at_90(truth: np.ndarray, labels: np.ndarray) -> float:
    """F1 at IoU 0.9."""
    from stardist.matching import matching

    return float(matching(truth, labels, thresh=0.9).f1)


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

    def predict(exact: bool) -> None:
        labels[exact] = predict_labels(networks[exact], view, config, thresholds)

    wanted = image.with_name("upstream.npy")

    def upstream_predict() -> Seconds:
        return oracle.measure(do="predict", image=str(image), labels=str(wanted), **thresholds)

    times = alternate(
        max(1, repeats // 2),
        upstream_predict,
        lambda: measure(lambda: predict(True)),
        lambda: measure(lambda: predict(False)),
    )
    yield from compare(f"{name}: end to end, exact", times[0], times[1], "< 1")
    yield from compare(f"{name}: end to end, default", times[0], times[2], "< 1")
    differing = int((labels[True] != np.load(wanted)).sum())
    nuclei = int(labels[True].max())
    yield Row(f"{name}: voxels that differ, exact", "", f"{differing}", f"of {nuclei} nuclei", "0")
    yield Row(
        f"{name}: F1 at IoU 0.9, default to exact", "", f"{f1_at_90(labels[True], labels[False]):.4f}", "", ">= 0.99"
    )
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
        render_labels(found[order], view, config)

    from images.stardist3d.native import quiet_native_code

    def quietly(call: Callable[[], None]) -> Seconds:
        with quiet_native_code():
            return measure(call)

    times = alternate(max(1, repeats // 2), lambda: quietly(upstream), lambda: quietly(ours))
    yield from compare(f"{name}: suppression and drawing of {len(found)} candidates", times[0], times[1], "<= 1")


def bench_shipped(raw: np.ndarray, repeats: int) -> Iterator[Row]:
    """Every method's own network, and what its default precision changes in the labels."""
    from bench_methods import measure_methods

    for speed in measure_methods(raw, repeats):
        for what, seconds, aim in (("exact", speed.exact, "0.5"), ("default", speed.default, "0.25")):
            ratio = f"{seconds / speed.upstream:.2f}"
            row = Row(f"{speed.method}: network, {what}", f"{speed.upstream:.2f} s", f"{seconds:.2f} s", ratio, aim)
            print(f"  {row.what}: {row.ratio}", flush=True)
            yield row
        what = f"{speed.method}: F1 at IoU 0.9, default to exact ({speed.nuclei} nuclei)"
        yield Row(what, "", f"{speed.f1:.4f}", "", ">= 0.99")


def shipped_segmenter() -> Callable[[np.ndarray, bool], np.ndarray] | None:
    """Segmentation by the shipped model at the volume's own scale."""
    from images.stardist3d.method import METHOD
    from nucseg.volume import Volume

    folder = ROOT / "images" / "stardist3d" / "weights" / METHOD.params().model
    if not (folder / "weights.safetensors").exists():
        return None
    declared = json.loads((folder / "model.json").read_text())["input"]

    def segment(data: np.ndarray, exact: bool) -> np.ndarray:
        params = METHOD.params(exact=exact, nucleus_diameter=declared.get("nucleus_diameter_voxels", 0.0))
        segmenter = METHOD.load(folder, params, "cpu")
        return segmenter.segment(Volume(data, None, Path("bench")), params, lambda fraction, text: None)

    return segment


def bench_memory(work: Path) -> Iterator[Row]:
    """Peak memory of a large volume, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--segment-large", work / "large.npy"], capture_output=True, text=True, check=False
    )
    what = f"peak memory, {' x '.join(map(str, LARGE))}, tiled"
    if done.returncode:
        yield Row(what, "", "failed", done.stderr.strip().splitlines()[-1] if done.stderr else "", "< 6 GB")
        return
    result = json.loads(done.stdout.splitlines()[-1])
    yield Row(
        what, "", f"{result['bytes'] / 1e9:.2f} GB", f"{result['nuclei']} nuclei, {result['seconds']:.0f} s", "< 6 GB"
    )


def segment_large(path: Path) -> None:
    """Segment a volume of `LARGE` voxels with nuclei of the size that the shipped model knows; print what it took."""
    segment = shipped_segmenter()
    if segment is None:
        sys.exit("the shipped model is not there")
    small = real_image()[:31, :61, :57]
    for axis, factor in enumerate((2, 1, 1)):
        small = np.repeat(small, factor, axis)
    # Nuclei with room between them: a dense one of this size would have a million.
    sparse = mirrored(small, (64, 128, 128))
    data = np.lib.format.open_memmap(path, "w+", np.uint16, LARGE)
    data[:] = int(np.percentile(small, 1))
    for z, y, x in np.ndindex(2, 4, 4):
        data[128 * z : 128 * z + 64, 256 * y : 256 * y + 128, 256 * x : 256 * x + 128] = sparse
    data.flush()
    del data, sparse
    volume = np.array(np.load(path, mmap_mode="r"))
    begun = time.perf_counter()
    labels = segment(volume, False)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"bytes": peak, "nuclei": int(labels.max()), "seconds": seconds}))


def bench_container(work: Path) -> Iterator[Row]:
    """The same small image through the container and through the bare process."""
    from nucseg import __version__
    from nucseg.formats import write_volume

    what = "container against process, 16 x 64 x 64"
    image = f"nucseg/stardist3d:v{__version__}"
    obstacle = "docker is not installed"
    if shutil.which("docker"):
        known = subprocess.run(["docker", "image", "inspect", image], capture_output=True, text=True, check=False)
        obstacle = "" if known.returncode == 0 else known.stderr.strip().splitlines()[-1]
    if obstacle:
        yield Row(what, "", "skipped", obstacle, "+ 0.6 s")
        return
    source = work / "in"
    source.mkdir()
    write_volume(source / "small.tif", real_image()[:16, :64, :64], (1.0, 1.0, 1.0))
    environment = os.environ | {
        "NUCSEG_METHOD": "stardist3d",
        "NUCSEG_ROOT": str(ROOT),
        "PYTHONPATH": f"{ROOT / 'common'}:{ROOT}",
    }

    def run(command: list[str]) -> Seconds:
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return measure(lambda: subprocess.run(command, env=environment, check=True, capture_output=True))

    words = ["--device", "cpu", "--nucleus_diameter", "10"]
    process = [sys.executable, "-m", "nucseg.app", "--in", str(source), "--out", str(work / "out"), *words]
    mounts = ["-v", f"{source}:/data:ro", "-v", f"{work / 'out'}:/out", "-u", f"{os.getuid()}:{os.getgid()}"]
    engine = ["docker", "run", "--rm", "--network", "none", *mounts, image, "--in", "/data", "--out", "/out", *words]
    (bare, _), (inside, _) = alternate(5, lambda: run(process), lambda: run(engine))
    yield Row(what, f"{bare:.2f} s", f"{inside:.2f} s", f"{inside - bare:+.2f} s", "+ 0.6 s")


def print_table(rows: list[Row]) -> None:
    """Columns as wide as their widest cell."""
    lines = [("", "upstream / bare", "ours", "ratio", "aim")]
    lines += [(row.what, row.reference, row.ours, row.ratio, row.aim) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def models(work: Path, oracle: Oracle, image: Path, shared: Path | None) -> Iterator[tuple[str, Path]]:
    """Each model by name and folder; the oracle has loaded it."""
    unet = work / "unet"
    oracle.ask(do="make", folder=str(unet), image=str(image), candidates=CANDIDATES, radius=RADIUS, config=UNET)
    yield "U-Net 1,2,2", unet
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
    parser.add_argument("--shared", type=Path, default=os.environ.get("NUCSEG_SHARED"), help="folder with data/")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side")
    parser.add_argument("--without", default="", help="upstream, shipped, memory, container: parts to leave out")
    parser.add_argument("--segment-large", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.segment_large:
        segment_large(args.segment_large)
        return 0
    without = args.without.split(",")
    threads = usable_cores()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="nucseg-bench-") as name:
        work = Path(name)
        if "upstream" not in without:
            from csbdeep.utils import normalize

            image = work / "image.npy"
            np.save(image, normalize(real_image(), 1, 99.8).astype(np.float32))
            oracle = Oracle(args.oracle_python or make_oracle(), threads)
            for model, folder in models(work, oracle, image, args.shared and Path(args.shared)):
                print(f"Measuring {model} ...", flush=True)
                for row in bench_model(model, folder, oracle, image, args.repeats):
                    print(f"  {row.what}: {row.ours} {row.ratio}", flush=True)
                    rows.append(row)
            oracle.close()
        if "shipped" not in without:
            rows += bench_shipped(real_image()[:31, :61, :57], args.repeats)
        if "memory" not in without:
            print("Measuring memory ...", flush=True)
            rows += bench_memory(work)
        if "container" not in without:
            rows += bench_container(work)
    load = os.getloadavg()[1]
    print(f"\n{' x '.join(map(str, SHAPE))}, {threads} threads, mean load {load:.1f} in the last 5 minutes\n")
    print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
