"""Train the weights that ship with a method: ``make weights METHOD=unet3d``.

Writes a training set of simulated volumes and of real ones, the same for all methods, then runs the
method's own ``train`` on it with the settings that lie beside the weights
(`images/<method>/weights/<name>/recipe.json`: how many volumes of each preset, and the stages, each of
which starts from the one before). A run that was stopped goes on. The real volumes are
not part of the project: their folder is named by NUCSEG_SHARED (it holds
``data/volumes/<name>/image.tif`` and ``labels.tif``).
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from data_folders import real_volumes
from nucseg.app import main as container
from nucseg.formats import read_labels, read_volume, write_labels, write_volume
from nucseg.models import DESCRIPTION
from nucseg.simulation import presets, simulate
from nucseg.training.checkpoint import CHECKPOINT
from nucseg.volume import Volume

ROOT = Path(__file__).resolve().parents[1]


REAL = ("gonuclear_ovule_1135_mini", "qcanet_mouse_embryo_8cell", "stardist_worm_crop")

REAL_SHARE = 5 / 6
"""Copies of each real volume per simulated volume of a preset, so that about a third of the patches are real."""


def write_training_set(real: Path, folder: Path, simulated: int) -> None:
    """Write images and labels to learn from, and ``val_images`` and ``val_labels``; what exists is kept.

    `simulated` volumes of each of the simulator's presets are learned from; one more is validated on.
    """
    for number in range(simulated + 1):
        for index, preset in enumerate(presets()):
            prefix = "val_" if number == simulated else ""
            target = folder / f"{prefix}labels" / f"sim_{preset}_{number:02}.tif"
            if not target.exists():
                volume, truth = simulate(preset, seed=1000 * index + number)
                _write(folder, prefix, target.name, volume, truth)
    for name in REAL:
        source = real / name
        volume, truth = read_volume(source / "image.tif"), read_labels(source / "labels.tif")
        for repeat in range(round(simulated * REAL_SHARE)):
            _write(folder, "", f"real_{name}_{repeat:02}.tif", volume, truth)
        # There are no more labelled real volumes, so the thresholds are tuned on these too.
        _write(folder, "val_", f"real_{name}.tif", volume, truth)


def _write(folder: Path, prefix: str, name: str, volume: Volume, truth: np.ndarray) -> None:
    images, labels = folder / f"{prefix}images", folder / f"{prefix}labels"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(exist_ok=True)
    write_volume(images / name, volume.data, volume.voxel_size)
    write_labels(labels / name, truth, volume.voxel_size)


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
    folder, out = (arguments.work / f"{recipe['simulated']}_volumes").absolute(), (arguments.out or weights).absolute()
    write_training_set(real_volumes(), folder, recipe["simulated"])
    os.environ.update(NUCSEG_METHOD=arguments.method, NUCSEG_ROOT=str(ROOT))
    # Stages are named from here, so that no model names a place of this machine.
    os.chdir(folder)
    previous: Path | None = None
    for number, settings in enumerate(recipe["stages"], 1):
        is_last = number == len(recipe["stages"])
        target = out if is_last else Path("stages", arguments.method, str(number))
        # Where the last stage writes, the weights of an earlier recipe lie: a model there is no sign that it has ended.
        if is_last or not ((target / DESCRIPTION).exists() and (target / CHECKPOINT).exists()):
            code = train(folder, target, settings | ({"from": previous} if previous else {}))
            if code:
                return code
        previous = target
    (out / CHECKPOINT).unlink(missing_ok=True)
    return 0


def train(folder: Path, out: Path, settings: dict[str, Any]) -> int:
    """One stage of a recipe, or the rest of it; the exit code."""
    words = ["train", "--in", folder / "images", "--gt", folder / "labels", "--out", out, "--resume"]
    words += ["--val", folder / "val_images", "--val_gt", folder / "val_labels"]
    return container([str(word) for word in words] + [f"--{key}={value}" for key, value in settings.items()])


if __name__ == "__main__":
    sys.exit(main())
