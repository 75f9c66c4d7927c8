"""Two labelled volumes of a kind that a shipped model has not seen make it better, in a minute on a CPU."""

import json
from pathlib import Path

import numpy as np
import pytest

from nucseg.app import main
from nucseg.formats import write_labels, write_volume
from nucseg.method import load_method, method_folder
from nucseg.simulation import simulate
from nucseg.training.pairs import Pair, make_pair
from nucseg.training.teach import mean_f1
from nucseg.volume import Volume

METHOD = "deepsynth"
DIAMETER = 12


def inverted(seed: int) -> tuple[Volume, np.ndarray]:
    """Dark nuclei in a bright surrounding, as in a transmission image or a membrane stain."""
    volume, labels = simulate("embryo", seed=seed, shape=(24, 64, 64))
    return Volume(volume.data.max() - volume.data, volume.voxel_size, Path(f"{seed}.tif")), labels


def score(folder: Path, pairs: list[Pair]) -> float:
    method = load_method(METHOD)
    params = method.params()
    return mean_f1(method.load(folder, params, "cpu"), params, pairs)


@pytest.mark.slow
def test_fine_tuning_improves_on_what_is_new(tmp_path, monkeypatch):
    for seed in (1, 2):
        volume, labels = inverted(seed)
        for name, array, write in (("images", volume.data, write_volume), ("labels", labels, write_labels)):
            (tmp_path / name).mkdir(exist_ok=True)
            write(tmp_path / name / f"{seed}.tif", array, volume.voxel_size)
    monkeypatch.setenv("NUCSEG_METHOD", METHOD)
    words = ["train", "--in", tmp_path / "images", "--gt", tmp_path / "labels", "--out", tmp_path / "model"]
    settings = {"from": "general", "steps": 60, "patch_size": 32, "diameter": DIAMETER, "validate_every": 60}
    assert main([*map(str, words), *(f"--{name}={value}" for name, value in settings.items())]) == 0
    assert json.loads((tmp_path / "model" / "model.json").read_text())["training"]["from_"] == "general"

    unseen = [make_pair(*inverted(seed)) for seed in (3, 4)]
    before = score(method_folder(METHOD) / "weights" / "general", unseen)
    after = score(tmp_path / "model", unseen)
    assert after > before + 0.2
