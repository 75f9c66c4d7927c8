"""The main job on the bundled demo volumes: ``make demo``.

One volume is real microscopy (C. elegans nuclei, from the stardist package, with manual labels), one
is simulated. Runs the launcher as a user would, in a container when an engine answers.
"""

import shutil
import sys
from pathlib import Path

from fastremap import renumber

from data_folders import stardist_images
from nucseg.errors import NucsegError
from nucseg.formats import read_labels, write_labels, write_volume
from nucseg.simulation import simulate
from nucseg_launcher.catalogue import get_method
from nucseg_launcher.engines.docker_client import connect
from nucseg_launcher.main import main as nucseg
from nucseg_launcher.signals import is_interruption

ROOT = Path(__file__).resolve().parents[1]
METHOD = "stardist3d"


def write_demo_volumes(images: Path, labels: Path) -> None:
    """Write two volumes and their ground truth."""
    data = stardist_images()
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / "img3d.tif", images / "celegans.tif")
    # Its numbers have gaps, with which BIAFLOWS' metrics take labels for a mask.
    write_labels(labels / "celegans.tif", renumber(read_labels(data / "mask3d.tif"))[0], None)
    volume, truth = simulate("tissue", seed=7, shape=(48, 128, 128))
    write_volume(images / "simulated_tissue.tif", volume.data, volume.voxel_size)
    write_labels(labels / "simulated_tissue.tif", truth, volume.voxel_size)


def engine_words() -> list[str]:
    """Docker where it answers and has the image or can build it; where it doesn't, what `nucseg run` takes."""
    try:
        client = connect()
    except NucsegError:
        return []
    code = 0 if client.images.list(get_method(METHOD).image) else nucseg(["build", METHOD])
    if is_interruption(code):
        sys.exit(code)
    if code == 0:
        return ["--engine", "docker"]
    print("Running without a container, as a plain process (--engine process): the image could not be built.")
    return ["--engine", "process"]


def main() -> int:
    """Run the demo; the launcher says where the results are."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "demo")
    images, truth, out = (folder / name for name in ("images", "truth", "results"))
    write_demo_volumes(images, truth)
    shutil.rmtree(out, ignore_errors=True)
    print("celegans.tif is one of the volumes that the models were trained on, so its scores say little; the cards of")
    print("the methods have those of real volumes that no model has seen. simulated_tissue.tif is unseen, too.")
    return nucseg(["run", METHOD, str(images), str(out), "--gt", str(truth), *engine_words()])


if __name__ == "__main__":
    sys.exit(main())
