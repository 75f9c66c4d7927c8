"""`nucseg train` for real, with the process engine and the test method."""

import json
import shutil

from launcher_harness import HERE


def test_train_makes_a_model_that_run_takes(nucseg, two_images, truth, tmp_path):
    out = tmp_path / "trained"
    trained = nucseg("train", "threshold", two_images, out, "--gt", truth, *HERE, "--set", "largest=2.0")
    assert trained.returncode == 0, trained.stderr
    assert str(out / "model") in trained.stdout
    assert json.loads((out / "model" / "model.json").read_text())["name"] == "trained"
    assert json.loads((out / "status.json").read_text())["params"] == {"largest": "2.0"}

    twice = nucseg("train", "threshold", two_images, out, "--gt", truth, *HERE)
    assert twice.returncode == 2
    assert "already holds a model" in twice.stderr

    words = ["run", "threshold", two_images, tmp_path / "out", *HERE, "--model", out / "model", "--dry-run"]
    assert f"--model={out / 'model'}" in nucseg(*words).stdout


def test_train_takes_one_folder_with_all_data(nucseg, two_images, truth, tmp_path):
    data = tmp_path / "data"
    for name, source in (("images", two_images), ("labels", truth)):
        shutil.copytree(source, data / name)
        shutil.copytree(source, data / f"val_{name}")
    line = nucseg("train", "threshold", data, tmp_path / "out", *HERE, "--seed", "3", "--dry-run").stdout
    for words in (
        f"--in {data}/images",
        f"--gt {data}/labels",
        f"--val {data}/val_images --val_gt {data}/val_labels",
        "--seed=3",
    ):
        assert words in line


def test_simulated_volumes_are_what_train_takes(nucseg, tmp_path):
    data = tmp_path / "data"
    done = nucseg("simulate", "tissue", data, "-n", "2", "--seed", "5", "--shape", "16,48,48")
    assert done.returncode == 0, done.stderr
    names = {"tissue_0005.tif", "tissue_0006.tif"}
    assert {path.name for path in (data / "images").iterdir()} == names
    assert {path.name for path in (data / "labels").iterdir()} == names
    before = (data / "labels" / "tissue_0006.tif").read_bytes()
    assert "is there already" in nucseg("simulate", "tissue", data, "--seed", "6", "--shape", "16,48,48").stdout
    assert (data / "labels" / "tissue_0006.tif").read_bytes() == before
    trained = nucseg("train", "threshold", data, tmp_path / "trained", *HERE, "--set", "largest=1.0")
    assert trained.returncode == 0, trained.stderr
