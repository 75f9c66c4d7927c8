"""What every method must do: train on two small volumes, go on after a cut, start from its own model, segment."""

import json
import shutil

import numpy as np
import pytest
import torch

from images.unet3d.network import UNet3D
from nucseg.app import main
from nucseg.errors import USAGE
from nucseg.formats import read_labels, write_labels, write_volume
from nucseg.method import list_methods
from nucseg.simulation import simulate

# Networks so small that a step takes no time; every method must be named here.
SMALL = {
    "stardist3d": {"filters": 4, "depth": 1, "n_rays": 16},
    "unet3d": {"f_maps": 8, "num_levels": 2},
    "qcanet": {"nsn_base": 2, "ndn_base": 1},
    "deepsynth": {"filters": 2},
    "cellpose": {"filters": 4, "patch_size": 64},
}
WITHOUT_TRAINING = {"cellpose_sam"}
COMMON = {"steps": 4, "patches": 2, "patch_size": 32, "diameter": 10, "validate_every": 2, "seed": 3}


def test_no_method_is_forgotten():
    assert set(list_methods()) == SMALL.keys() | WITHOUT_TRAINING


@pytest.mark.parametrize("method", sorted(WITHOUT_TRAINING))
def test_a_method_whose_weights_the_user_brings_is_well_without(method, monkeypatch, capsys):
    monkeypatch.setenv("NUCSEG_METHOD", method)
    assert main(["--check", "--device", "cpu"]) == 0
    assert "note: no model was tried" in capsys.readouterr().out
    assert main(["--check", "--device", "cpu", "--model=/nowhere"]) == USAGE


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for seed in range(2):
        volume, labels = simulate("embryo", seed=seed, shape=(16, 48, 48))
        write_volume(folder / "images" / f"{seed}.tif", volume.data, volume.voxel_size)
        write_labels(folder / "labels" / f"{seed}.tif", labels, volume.voxel_size)
    return folder


@pytest.fixture
def run(monkeypatch):
    def run(method, *words, **settings):
        monkeypatch.setenv("NUCSEG_METHOD", method)
        return main([*map(str, words), *(f"--{name}={value}" for name, value in settings.items())])

    return run


@pytest.mark.parametrize("method", SMALL)
def test_it_trains_goes_on_and_segments(method, run, data, tmp_path, capsys):
    pytest.importorskip(method) if method == "cellpose" else None
    model, words = tmp_path / "model", ["train", "--in", data / "images", "--gt", data / "labels", "--out"]
    settings = COMMON | SMALL[method]
    assert run(method, *words, model, **settings) == 0
    info = json.loads((model / "model.json").read_text())
    assert info["method"] == method
    assert info["thresholds"]
    assert info["training"]["seed"] == 3
    assert info["training"]["pairs"] == ["1"]
    assert info["training"]["validation"] == ["0"]
    assert (model / "training.png").exists()

    assert run(method, *words, model, **settings) == USAGE
    assert "--resume goes on" in capsys.readouterr().err
    assert run(method, *words, model, "--resume", **settings | {"diameter": 11}) == USAGE
    assert "diameter was 10.0 and is now 11.0" in capsys.readouterr().err
    labels = data / "labels" / "1.tif"
    before = labels.read_bytes()
    write_labels(labels, np.roll(read_labels(labels), 3, axis=2), None)
    assert run(method, *words, model, "--resume", **settings | {"steps": 6}) == USAGE
    assert "contents of pair 1 was" in capsys.readouterr().err
    labels.write_bytes(before)
    assert run(method, *words, model, "--resume", **settings | {"steps": 6}) == 0
    last = (model / "training.tsv").read_text().splitlines()[-1]
    assert last.split("\t")[0] == "6"

    tuned = tmp_path / "tuned"
    assert run(method, *words, tuned, **COMMON | {"from": model, "patch_size": settings["patch_size"]}) == 0
    assert json.loads((tuned / "model.json").read_text())["config"] == info["config"]

    out, image = tmp_path / "out", tmp_path / "one"
    image.mkdir()
    shutil.copy(data / "images" / "0.tif", image)
    assert run(method, "--in", image, "--out", out, "--model", model, "--nucleus_diameter", "8") == 0
    labels = read_labels(out / "0.tif")
    assert labels.shape == (16, 48, 48)
    assert set(np.unique(labels)) | {0} == set(range(labels.max() + 1))


@pytest.mark.parametrize("method", SMALL)
def test_patches_that_the_network_cannot_take_are_refused(method, run, data, tmp_path, capsys):
    pytest.importorskip(method) if method == "cellpose" else None
    words = ["train", "--in", data / "images", "--gt", data / "labels", "--out", tmp_path / "model"]
    settings = COMMON | SMALL[method]
    size = settings["patch_size"]
    assert run(method, *words, **settings | {"patch_size": size + 1}) == USAGE
    assert f"try: --patch_size {size} or " in capsys.readouterr().err
    assert not (tmp_path / "model" / "checkpoint.pt").exists()


def test_a_network_of_nuclei_alone_is_fine_tuned(run, data, tmp_path):
    start, model = tmp_path / "start", tmp_path / "model"
    start.mkdir()
    torch.save(UNet3D(out_channels=1, f_maps=8, num_levels=2).state_dict(), start / "nuclei.pytorch")
    words = ["train", "--in", data / "images", "--gt", data / "labels", "--out", model]
    assert run("unet3d", *words, **COMMON | {"from": start}) == 0
    assert json.loads((model / "model.json").read_text())["config"]["out_channels"] == 1
    assert (model / "training.tsv").read_text().split("\n")[0].split("\t") == ["step", "seconds", "nuclei", "f1"]


@pytest.mark.parametrize("method", SMALL)
def test_the_model_of_another_method_is_refused(method, run, data, tmp_path, capsys):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "model.json").write_text('{"name": "a", "method": "other", "config": {}, "sha256": ""}')
    assert run(method, "--in", data / "images", "--out", tmp_path / "out", "--model", foreign) == USAGE
    assert "is for other" in capsys.readouterr().err


def test_cellpose_sam_says_what_its_weights_are(run, data, tmp_path, capsys):
    assert run("cellpose_sam", "--in", data / "images", "--out", tmp_path / "out") == USAGE
    told = capsys.readouterr().err
    assert "non-commercial" in told
    assert "--model /model" in told
    words = ["train", "--in", data / "images", "--gt", data / "labels", "--out", tmp_path / "model"]
    assert run("cellpose_sam", *words) == USAGE
    told = capsys.readouterr().err
    assert "Cellpose-SAM is used with its published weights and is not trained here" in told
    assert "train another method" in told
