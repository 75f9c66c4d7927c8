"""Train the weights that ship with a method: ``make weights METHOD=stardist3d``.

Writes a training set of simulated volumes and of real ones, then runs the method's own ``train``
on it with the recipe that lies beside the weights (`images/<method>/weights/<name>/recipe.json`).
The real volumes are not part of the project: their folder is named by NUCSEG_SHARED (it holds
``data/volumes/<name>/image.tif`` and ``labels.tif``).
"""

import argparse
import json
import os
import sys
from pathlib import Path

from nucseg.app import main as container
from nucseg.formats import read_labels, read_volume, write_labels, write_volume
from nucseg.simulation import presets, simulate

ROOT = Path(__file__).resolve().parents[1]


def write_training_set(recipe: dict, shared: Path, folder: Path) -> None:
    """Write `folder/images` and `folder/labels` as the recipe says; what exists is kept."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(exist_ok=True)
    for number in range(recipe["simulated_per_preset"]):
        for index, preset in enumerate(presets()):
            name = f"sim_{preset}_{number:02}.tif"
            if not (labels / name).exists():
                volume, truth = simulate(preset, seed=1000 * index + number)
                write_volume(images / name, volume.data, volume.voxel_size)
                write_labels(labels / name, truth, volume.voxel_size)
    for name in recipe["real"]:
        source = shared / "data" / "volumes" / name
        volume = read_volume(source / "image.tif")
        for repeat in range(recipe["real_repeats"]):
            write_volume(images / f"real_{name}_{repeat:02}.tif", volume.data, volume.voxel_size)
            write_labels(labels / f"real_{name}_{repeat:02}.tif", read_labels(source / "labels.tif"), volume.voxel_size)


def main() -> int:
    """Make the training set and train."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("method")
    parser.add_argument("--name", default="general", help="name of the weights (default: general)")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "weights", help="folder for the training set")
    parser.add_argument("--out", type=Path, help="where the model goes (default: beside the recipe)")
    arguments = parser.parse_args()

    weights = ROOT / "images" / arguments.method / "weights" / arguments.name
    recipe = json.loads((weights / "recipe.json").read_text())
    shared = Path(os.environ.get("NUCSEG_SHARED", ""))
    if not (shared / "data" / "volumes").is_dir():
        sys.exit("the real training volumes are not here. Try: NUCSEG_SHARED=<folder with data/volumes>")
    folder = arguments.work / arguments.method
    write_training_set(recipe, shared, folder)
    os.environ.update(NUCSEG_METHOD=arguments.method, NUCSEG_ROOT=str(ROOT))
    words = ["train", "--in", folder / "images", "--gt", folder / "labels", "--out", arguments.out or weights]
    return container([str(word) for word in words] + [f"--{key}={value}" for key, value in recipe["train"].items()])


if __name__ == "__main__":
    sys.exit(main())
