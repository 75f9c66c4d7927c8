"""`nucseg score` for real, and the table of scores."""

import csv
import json
import shutil

import numpy as np
import tifffile
from app_harness import write_zarr

from nucseg.formats import read_labels, write_labels


def test_score_of_folders_and_of_files(nucseg, others, truth, tmp_path):
    done = nucseg("score", others["misses"], truth, "--out", tmp_path / "scores.tsv")

    assert done.returncode == 0, done.stderr
    assert "mean F1 at IoU 0.5 of 2 images: 0.733" in done.stdout
    with (tmp_path / "scores.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["n_missed"] for row in rows] == ["1", "1"]

    one = nucseg("score", others["right"] / "a.tif", truth / "a.tif", "--out", tmp_path / "one.json")
    assert one.returncode == 0, one.stderr
    assert json.loads((tmp_path / "one.json").read_text())[0]["f1_by_iou"][-1]["f1"] == 1


def test_a_pair_that_does_not_fit_costs_no_other_its_scores(nucseg, others, truth, tmp_path):
    pred = shutil.copytree(others["right"], tmp_path / "pred")
    write_labels(pred / "a.tif", np.ones((3, 4, 5), np.uint8), None)
    done = nucseg("score", pred, truth, "--out", tmp_path / "scores.json")
    assert done.returncode == 1
    assert "a.tif has shape (3, 4, 5)" in done.stderr
    assert [row["f1_50"] for row in json.loads((tmp_path / "scores.json").read_text())] == [1]


def test_score_of_one_zarr(nucseg, truth, tmp_path):
    labels = read_labels(truth / "a.tif")
    for name in ("mine.zarr", "truth.zarr"):
        write_zarr(tmp_path / name, labels)
    done = nucseg("score", tmp_path / "mine.zarr", tmp_path / "truth.zarr")
    assert done.returncode == 0, done.stderr
    assert "f1_50 1.000" in done.stdout


def test_the_table_of_scores_has_the_columns_of_all_images(nucseg, truth, tmp_path):
    for folder in ("pred", "true"):
        (tmp_path / folder).mkdir()
        labels = read_labels(truth / "a.tif")
        tifffile.imwrite(tmp_path / folder / "a.tif", labels)
        write_labels(tmp_path / folder / "b.tif", labels, (0.5, 0.5, 0.5))
    nucseg("score", tmp_path / "pred", tmp_path / "true", "--out", tmp_path / "scores.tsv")
    with (tmp_path / "scores.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(row["assd_voxels"], row["assd_um"]) for row in rows] == [("0", ""), ("", "0")]


def test_score_says_what_does_not_fit(nucseg, others, truth, tmp_path):
    assert "must both be images" in nucseg("score", others["right"], truth / "a.tif").stderr
    assert "does not exist" in nucseg("score", others["right"] / "z.tif", truth / "a.tif").stderr
    assert "neither .json nor .tsv" in nucseg("score", others["right"], truth, "--out", tmp_path / "x.txt").stderr
    write_labels(tmp_path / "a.tif", np.ones((3, 4, 5), np.uint8), None)
    done = nucseg("score", tmp_path / "a.tif", truth / "a.tif")
    assert done.returncode == 1
    assert "has shape (3, 4, 5)" in done.stderr
