"""StarDist's shipped model as a whole: memory of a large volume, what a container adds; a part of ``make bench``."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "common"), str(ROOT)]

from bench_tools import Row, Seconds, alternate, measure, mirrored, real_image

LARGE = (256, 1024, 1024)


def bench_memory(work: Path) -> Iterator[Row]:
    """Peak memory of a large volume, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, work / "large.npy"], capture_output=True, text=True, check=False)
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
    from images.stardist3d.method import METHOD
    from nucseg.models import read_model
    from nucseg.volume import Volume

    folder = ROOT / "images" / "stardist3d" / "weights" / METHOD.params().model
    diameter = read_model(folder, METHOD.name).info["input"]["nucleus_diameter_voxels"]
    params = METHOD.params(nucleus_diameter=diameter)
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
    segmenter = METHOD.load(folder, params, "cpu")
    labels = segmenter.segment(Volume(volume, None, path), params, lambda fraction, text: None).labels
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


if __name__ == "__main__":
    segment_large(Path(sys.argv[1]))
