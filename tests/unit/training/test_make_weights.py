"""`make weights` with the small method of tests/methods, and volumes of a few voxels."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nucseg.formats import write_labels, write_volume
from nucseg.simulation import presets
from nucseg.training.checkpoint import CHECKPOINT

REPOSITORY = Path(__file__).resolve().parents[3]
REAL = ("gonuclear_ovule_1135_mini", "qcanet_mouse_embryo_8cell", "stardist_worm_crop")
STAGE = {"largest": 1.0}


def write_pair(image: Path, labels: Path) -> None:
    truth = np.zeros((8, 16, 16), np.uint16)
    truth[2:6, 4:10, 4:10] = 1
    for path in (image, labels):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(image, 20 + 100 * truth, (1.0, 1.0, 1.0))
    write_labels(labels, truth, (1.0, 1.0, 1.0))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The program, a recipe of two stages beside weights that it has made before, and all volumes."""
    (tmp_path / "scripts").mkdir()
    for name in ("make_weights.py", "data_folders.py"):
        shutil.copy(REPOSITORY / "scripts" / name, tmp_path / "scripts")
    shutil.copytree(REPOSITORY / "tests" / "methods" / "images", tmp_path / "images")
    recipe = json.dumps({"simulated": 1, "stages": [STAGE, STAGE]})
    (tmp_path / "images" / "threshold" / "weights" / "general" / "recipe.json").write_text(recipe)
    for name in REAL:
        source = tmp_path / "shared" / "data" / "volumes" / name
        write_pair(source / "image.tif", source / "labels.tif")
    work = tmp_path / "build" / "weights" / "1_volumes"
    for preset in presets():
        write_pair(work / "images" / f"sim_{preset}_00.tif", work / "labels" / f"sim_{preset}_00.tif")
        write_pair(work / "val_images" / f"sim_{preset}_01.tif", work / "val_labels" / f"sim_{preset}_01.tif")
    return tmp_path


def make_weights(repository: Path) -> None:
    sources = os.pathsep.join([str(REPOSITORY / "common"), str(repository)])
    environment = {**os.environ, "PYTHONPATH": sources, "NUCSEG_SHARED": str(repository / "shared")}
    command = [sys.executable, str(repository / "scripts" / "make_weights.py"), "threshold"]
    subprocess.run(command, env=environment, check=True, capture_output=True, text=True)


def test_a_run_that_was_stopped_in_its_last_stage_makes_new_weights(repository: Path) -> None:
    weights = repository / "images" / "threshold" / "weights" / "general"
    first = repository / "build" / "weights" / "1_volumes" / "stages" / "threshold" / "1"
    shutil.copytree(weights, first)
    for folder in (first, weights):
        (folder / CHECKPOINT).touch()
    before = (first / "model.json").read_bytes()

    make_weights(repository)

    assert (weights / "model.json").read_bytes() != before
    assert not (weights / CHECKPOINT).exists()
    # The stage that had ended was not done again.
    assert (first / "model.json").read_bytes() == before
