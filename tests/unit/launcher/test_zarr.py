"""OME-Zarr images from end to end: compared, gone on with, exported."""

import json
import zipfile

import pytest
from app_harness import TRUTH, image, write_zarr
from launcher_harness import HERE

from nucseg.formats import list_images, read_labels


@pytest.fixture(scope="module")
def compared(nucseg, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zarr")
    write_zarr(folder / "in" / "a.lif [1].zarr", image(1))
    write_zarr(folder / "in" / "b.ome.zarr", image(2), zarr_format=3)
    write_zarr(folder / "gt" / "a.lif [1].zarr", TRUTH)
    write_zarr(folder / "gt" / "b.zarr", TRUTH)
    words = ("compare", "threshold", folder / "in", folder / "out", "--gt", folder / "gt")
    return folder, nucseg(*words, "--also", f"right={folder / 'gt'}", *HERE)


def test_labels_are_tiff_files_and_scored(compared):
    folder, done = compared
    assert done.returncode == 0, done.stderr
    labels = list_images(folder / "out" / "methods" / "threshold" / "labels")
    assert [path.name for path in labels] == ["a.lif [1].tif", "b.ome.tif"]
    assert all(read_labels(path).max() == 2 for path in labels)
    rows = json.loads((folder / "out" / "comparison.json").read_text())["ranking"]["rows"]
    assert {row["method"]: row["mean"] for row in rows} == {"threshold": 1, "right": 1}
    # The report shows the image itself.
    assert "as a whole" not in (folder / "out" / "report.html").read_text()


def test_a_run_can_be_gone_on_with(compared, nucseg):
    folder, _ = compared
    done = nucseg("run", "threshold", folder / "in", folder / "out", "--gt", folder / "gt", "--resume", *HERE)
    assert done.returncode == 0, done.stderr
    assert "2 done before" in (folder / "out" / "methods" / "threshold" / "stdout.log").read_text()


def test_the_images_go_into_a_crate(compared, nucseg, tmp_path):
    folder, _ = compared
    done = nucseg("export-crate", folder / "out", tmp_path / "results.zip", "--with-images")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        names = set(archive.namelist())
    assert {"images/a.lif [1].zarr/0/0.0.0", "images/b.ome.zarr/0/c/0/0/0"} <= names


def test_one_image_is_a_folder_too(compared, nucseg, tmp_path):
    folder, _ = compared
    done = nucseg("run", "threshold", f"{folder / 'in' / 'b.ome.zarr'}/", tmp_path / "out", *HERE)
    assert done.returncode == 0, done.stderr
    labels = tmp_path / "out" / "methods" / "threshold" / "labels"
    assert [path.name for path in list_images(labels)] == ["b.ome.tif"]
