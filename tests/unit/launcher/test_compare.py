"""`nucseg compare`, `score`, `consensus`, `rerun` and `export-crate` for real, with the process engine."""

import csv
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from launcher_harness import HERE, check

from nucseg.errors import NucsegError
from nucseg.formats import list_images, read_labels, write_labels
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.record import write_not_run

NAME = "b, second (µm).tif"


def test_what_is_missing_is_run_and_all_are_ranked(compared):
    out, done = compared
    assert done.returncode == 0, done.stderr
    assert {path.name for path in list_images(out / "methods" / "threshold" / "labels")} == {
        "a.tif",
        NAME,
    }
    content = check(out / "comparison.json", "comparison.schema.json")
    rows = {row["method"]: row for row in content["ranking"]["rows"]}
    assert list(rows) == ["threshold", "right", "misses", "merges"]
    assert rows["right"]["mean"] == 1
    assert rows["right"]["low"] == rows["right"]["high"] == 1
    assert rows["misses"]["mean"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert rows["misses"]["best_probability"] < 0.1
    assert "against ground truth: F1 at IoU 0.5" in done.stdout


def test_every_result_has_its_scores_and_its_mistakes(compared):
    out, _ = compared
    results = {(r["method"], r["volume"]): r for r in json.loads((out / "comparison.json").read_text())["results"]}

    missing = results["misses", "a.tif"]
    assert (missing["scores"]["n_true"], missing["scores"]["n_pred"], missing["scores"]["count_error"]) == (2, 1, -1)
    assert missing["mistakes"]["missed"] == [{"true": 2, "centre": [6.0, 8.0, 24.0]}]
    merged = results["merges", NAME]
    assert merged["mistakes"]["merges"][0]["true"] == [1, 2, 3]
    assert results["right", "a.tif"]["scores"]["assd_um"] == 0
    assert results["threshold", "a.tif"]["volume_um3"]["q50"] > 0


def test_without_ground_truth_the_outlier_is_told(compared, nucseg, tmp_path, others):
    out, _ = compared
    shutil.copytree(out, tmp_path / "out")
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    run["methods"]["threshold"]["ground_truth"] = None
    (tmp_path / "out" / "run.json").write_text(json.dumps(run))

    also = ("--also", f"right={others['right']}", "--also", f"bad={others['merges']}")
    done = nucseg("compare", tmp_path / "out", *also)

    assert done.returncode == 0, done.stderr
    content = check(tmp_path / "out" / "comparison.json", "comparison.schema.json")
    assert content["ranking"] is None
    assert content["agreement"]["rows"][-1]["method"] == "bad"
    assert content["agreement"]["matrix"]["threshold"]["right"] == 1
    assert content["agreement"]["recommendation"]["method"] in ("threshold", "right")
    worst = content["disagreements"][0]
    # Half of the merged pair in the other image still counts as one nucleus at IoU 0.5.
    assert (worst["volume"], worst["centre"][2]) == (NAME, pytest.approx(24, abs=1))
    assert "They differ most in" in done.stdout


def test_two_methods_give_no_recommendation(compared, nucseg, tmp_path, others):
    out, _ = compared
    shutil.copytree(out, tmp_path / "out")
    empty = tmp_path / "no truth"
    empty.mkdir()

    done = nucseg("compare", tmp_path / "out", "--gt", empty, "--also", f"right={others['right']}")

    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["agreement"]["recommendation"] is None
    assert "cannot outvote each other" in done.stdout
    assert "no scores" in done.stderr


def test_a_method_that_cannot_run_is_in_the_comparison(nucseg, two_images, others, tmp_path):
    out = tmp_path / "out"
    also = [word for name in ("right", "misses") for word in ("--also", f"{name}={others[name]}")]
    done = nucseg("compare", "threshold", two_images, out, "--engine", "docker", *also)

    assert done.returncode == 3
    content = check(out / "comparison.json", "comparison.schema.json")
    failed = next(method for method in content["methods"] if method["name"] == "threshold")
    assert failed["status"] == "failed"
    assert "Docker does not answer" in failed["cause"]
    assert {r["status"] for r in content["results"] if r["method"] == "threshold"} == {"not done"}
    assert list(content["agreement"]["matrix"]) == ["right", "misses"]
    assert content["agreement"]["recommendation"] is None
    assert "cannot outvote each other" in done.stdout


def test_images_that_fail_are_in_the_comparison(nucseg, two_images, others, tmp_path):
    words = (*HERE, "--set", "fault=shape", "--also", f"right={others['right']}")
    done = nucseg("compare", "threshold", two_images, tmp_path / "out", *words)

    assert done.returncode == 1
    content = check(tmp_path / "out" / "comparison.json", "comparison.schema.json")
    failed = [result for result in content["results"] if result["method"] == "threshold"]
    assert {result["status"] for result in failed} == {"failed"}
    assert all("returned labels of shape" in result["cause"] for result in failed)


def test_labels_of_another_shape_are_left_out_and_told(compared, nucseg, tmp_path, others):
    out, _ = compared
    shutil.copytree(out, tmp_path / "out")
    (tmp_path / "cut").mkdir()
    for path in list_images(others["right"]):
        write_labels(tmp_path / "cut" / path.name, read_labels(path)[1:], None)

    done = nucseg("compare", tmp_path / "out", "--also", f"cut={tmp_path / 'cut'}")

    assert done.returncode == 0, done.stderr
    assert "cut: a.tif has shape (11, 16, 32), not (12, 16, 32): left out" in done.stderr


def test_agreement_is_of_the_volumes_that_all_have_labels_of(compared, nucseg, tmp_path, others):
    out = tmp_path / "out"
    shutil.copytree(compared[0], out)
    shutil.copytree(others["right"], tmp_path / "one")
    (tmp_path / "one" / "a.tif").unlink()

    also = ("--also", f"one={tmp_path / 'one'}", "--also", f"right={others['right']}")
    done = nucseg("compare", out, *also)

    assert done.returncode == 0, done.stderr
    assert "only 1 of 2 volumes count for the agreement of methods" in done.stderr
    content = check(out / "comparison.json", "comparison.schema.json")
    assert content["agreement"]["matrix"]["threshold"] == {"threshold": 1, "one": 1, "right": 1}


def test_a_file_that_cannot_be_read_does_not_cost_the_others(compared, nucseg, tmp_path, truth, others):
    out, gt, damaged = tmp_path / "out", tmp_path / "gt", tmp_path / "damaged"
    shutil.copytree(compared[0], out)
    shutil.copytree(truth, gt)
    shutil.copytree(others["right"], damaged)
    tifffile.imwrite(gt / "a.tif", np.full((12, 16, 32), -1, np.int16), metadata={"axes": "ZYX"})
    with tifffile.TiffFile(damaged / NAME) as tif:
        offset, size = tif.pages[6].dataoffsets[0], tif.pages[6].databytecounts[0]
    with (damaged / NAME).open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)

    done = nucseg("compare", out, "--gt", gt, "--also", f"damaged={damaged}", "--also", f"misses={others['misses']}")

    assert done.returncode == 0, done.stderr
    assert "a.tif: no scores: a.tif holds negative labels" in done.stderr
    assert f"damaged: {NAME} is left out: {NAME} is truncated or damaged" in done.stderr
    content = check(out / "comparison.json", "comparison.schema.json")
    ranks = {row["method"]: row["mean"] for row in content["ranking"]["rows"]}
    assert ranks == {"threshold": 1, "misses": pytest.approx(0.8), "damaged": 0}
    assert content["agreement"]["matrix"]["damaged"]["misses"] == pytest.approx(2 / 3, abs=1e-3)
    assert (out / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["threshold", "IN"], "not 2 words"),
        (["OUT", "--also", "x"], "names no folder"),
        (["OUT", "--also", "threshold=IN"], "has this name"),
        (["OUT", "--set", "sigma=1"], "nothing is run"),
        (["OUT", "--device", "cuda", "--engine", "process", "--memory", "1g"], "so --device, --engine, --memory would"),
        (["threshold,threshold", "IN", "OUT"], "named twice"),
        (["threshold", "IN", "OUT", "--set", "other.sigma=1"], "other is not among the methods"),
        (["EMPTY"], "no method has run"),
    ],
)
def test_wrong_words(words, text, compared, nucseg, two_images, tmp_path):
    (tmp_path / "empty").mkdir()
    places = {"IN": two_images, "OUT": compared[0], "EMPTY": tmp_path / "empty"}
    words = [word.replace("=IN", f"={two_images}") for word in words]
    done = nucseg("compare", *(places.get(word, word) for word in words))
    assert done.returncode == 2, done.stdout
    assert text in done.stderr
    assert "Try" in done.stderr


def test_one_volume_is_told_as_one(nucseg, others, truth, tmp_path):
    for source, name in ((others["right"], "right"), (others["misses"], "misses"), (truth, "truth")):
        (tmp_path / name).mkdir()
        shutil.copy(source / "a.tif", tmp_path / name)
    (tmp_path / "out").mkdir()
    also = [word for name in ("right", "misses") for word in ("--also", f"{name}={tmp_path / name}")]

    done = nucseg("compare", tmp_path / "out", "--gt", tmp_path / "truth", *also)

    assert "the mean of 1 volume. That it is the best of these is " in done.stdout
    assert "certain: first in " in done.stdout or "likely: first in " in done.stdout


def test_labels_in_a_folder_that_no_record_can_hold_are_told(compared, nucseg, others, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Z\xfcrich"))
    shutil.copytree(others["right"], folder)
    done = nucseg("compare", compared[0], "--also", f"right={folder}")
    assert (done.returncode, "rich is not Unicode" in done.stderr) == (2, True)


def test_a_table_that_was_edited_does_not_cost_the_comparison(compared, nucseg, tmp_path):
    shutil.copytree(compared[0], tmp_path / "out")
    table = tmp_path / "out" / "methods" / "threshold" / "measurements" / "a.csv"
    table.write_text("label;keep\n1;yes\n")
    done = nucseg("compare", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    content = check(tmp_path / "out" / "comparison.json", "comparison.schema.json")
    assert "a.csv cannot be read as a table" in " ".join(content["warnings"])


def test_the_consensus_of_one_method_is_an_error(compared, nucseg):
    done = nucseg("consensus", compared[0])
    assert done.returncode == 2
    assert "a majority needs more methods" in done.stderr


def test_consensus_and_support(compared, nucseg, others, tmp_path):
    out = OutFolder(tmp_path / "out")
    shutil.copytree(compared[0], out.path)
    for name in ("right", "merges"):
        shutil.copytree(others[name], out.method(name).labels)
    write_not_run(out.method("never"), "never", NucsegError("no engine", "an engine"))
    write_labels(out.method("merges").labels / "a.tif", np.ones((3, 4, 5), np.uint8), None)

    done = nucseg("consensus", out.path)

    assert done.returncode == 0, done.stderr
    assert f"{NAME}: 3 nuclei of the majority, 1 that only a minority has" in done.stdout
    assert np.array_equal(read_labels(out.consensus_labels / NAME), read_labels(others["right"] / NAME))
    assert support(out, NAME[:-4]) == [(str(label), "2", "0.6667", "right+threshold") for label in (1, 2, 3)]
    left_out = "threshold: a.tif has shape (12, 16, 32), not (3, 4, 5): left out"
    assert left_out in done.stderr
    assert nucseg("compare", out.path).stderr.count(left_out) == 1
    assert "Consensus of the methods" in out.report.read_text(encoding="utf-8")

    assert nucseg("export-crate", out.path, tmp_path / "results.zip").returncode == 0
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert {f"consensus/labels/{NAME}", f"consensus/support/{NAME[:-4]}.csv"} <= set(archive.namelist())


def support(out, stem):
    with (out.consensus_support / f"{stem}.csv").open(encoding="utf-8", newline="") as file:
        return [(row["label"], row["support"], row["share"], row["methods"]) for row in csv.DictReader(file)]


def test_the_majority_is_of_the_methods_that_have_labels_of_an_image(compared, nucseg, others, tmp_path):
    out = OutFolder(tmp_path / "out")
    shutil.copytree(compared[0], out.path)
    for name in ("right", "misses"):
        shutil.copytree(others[name], out.method(name).labels)
        (out.method(name).labels / NAME).unlink()
    (out.method("misses").labels / "a.tif").unlink()
    shutil.copy(others["misses"] / NAME, out.method("misses").labels)

    done = nucseg("consensus", out.path)

    assert done.returncode == 0, done.stderr
    assert support(out, "a") == [(str(label), "2", "1", "right+threshold") for label in (1, 2)]
    assert support(out, NAME[:-4]) == [(str(label), "2", "1", "misses+threshold") for label in (1, 2)]


def test_the_consensus_follows_the_methods(compared, nucseg, others, tmp_path):
    out = OutFolder(tmp_path / "out")
    shutil.copytree(compared[0], out.path)
    shutil.copytree(others["right"], out.method("right").labels)
    assert nucseg("consensus", out.path).returncode == 0
    assert read_labels(out.consensus_labels / NAME).max() == 3

    for name in ("misses", "too"):
        shutil.copytree(others["misses"], out.method(name).labels)
    assert nucseg("compare", out.path).returncode == 0
    assert read_labels(out.consensus_labels / NAME).max() == 2

    for name in ("right", "misses", "too"):
        shutil.rmtree(out.method(name).path)
    alone = nucseg("compare", out.path)
    assert alone.returncode == 0
    assert "the consensus is still the old one: " in alone.stderr
