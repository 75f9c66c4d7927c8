"""compare of several methods that are really run."""

import json
from pathlib import Path

import pytest
from launcher_harness import HERE

from nucseg_launcher.layout import OutFolder


def test_a_method_that_fails_does_not_keep_the_next_one_from_its_work(two_methods, two_images, truth, tmp_path):
    settings = ("--set", "sigma=0.5", "--set", "second.fault=shape")
    done = two_methods("compare", "second,threshold", two_images, tmp_path / "out", "--gt", truth, *HERE, *settings)
    assert done.returncode == 1, done.stderr
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    statuses = {(result["method"], result["status"]) for result in content["results"]}
    assert statuses == {("threshold", "done"), ("second", "failed")}
    run = json.loads((tmp_path / "out" / "run.json").read_text())["methods"]
    assert (run["threshold"]["params"], run["second"]["params"]["fault"]) == ({"sigma": "0.5"}, "shape")


def test_what_is_wrong_for_a_later_method_is_said_before_anything_runs(two_methods, two_images, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.tif").write_bytes((two_images / "a.tif").read_bytes())
    assert two_methods("run", "second", other, tmp_path / "out", *HERE).returncode == 0
    done = two_methods("compare", "threshold,second", two_images, tmp_path / "out", *HERE)
    assert done.returncode == 2
    assert "not in the input folder: c.tif" in done.stderr
    assert OutFolder(tmp_path / "out").methods() == ["second"]


def test_labels_of_one_volume_may_differ_in_their_extensions(nucseg, truth, tmp_path):
    for folder, name in (("mine", "a.tif"), ("yours", "a.ome.tif")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes((truth / "a.tif").read_bytes())
    (tmp_path / "out").mkdir()
    also = [word for name in ("mine", "yours") for word in ("--also", f"{name}={tmp_path / name}")]
    done = nucseg("compare", tmp_path / "out", "--gt", truth, *also)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [result["method"] for result in content["results"]] == ["mine", "yours"]


@pytest.mark.parametrize("command", ["run", "compare"])
def test_who_goes_on_need_not_name_the_ground_truth_again(command, nucseg, two_images, truth, tmp_path):
    out = OutFolder(tmp_path / "out")
    assert nucseg("run", "threshold", two_images, out.path, "--gt", truth, *HERE).returncode == 0
    (out.method("threshold").labels / "a.tif").unlink()
    done = nucseg(command, "threshold", two_images, out.path, *HERE, *(["--resume"] if command == "run" else []))
    assert done.returncode == 0, done.stderr
    assert json.loads(out.run.read_text())["methods"]["threshold"]["ground_truth"] == str(truth)
    images = json.loads(out.method("threshold").status.read_text())["images"]
    assert all(image["scores"] for image in images)
    assert json.loads((out.path / "comparison.json").read_text())["ranking"]


def test_a_ground_truth_of_other_images_is_forgotten(nucseg, two_images, truth, tmp_path):
    out, half = tmp_path / "out", tmp_path / "half"
    half.mkdir()
    (half / "a.tif").write_bytes((truth / "a.tif").read_bytes())
    first, second = sorted(two_images.iterdir(), key=lambda path: Path(path).name != "a.tif")
    assert nucseg("run", "threshold", first, out, "--gt", half, *HERE).returncode == 0
    done = nucseg("run", "threshold", second, out, "--resume", *HERE)
    assert done.returncode == 0, done.stderr
    assert "without the scores of the earlier run: no image has a ground truth in" in done.stdout
