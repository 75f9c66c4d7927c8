"""Bad input and hostile folders: the cause, the exit code, and what stays."""

import importlib.util
import subprocess

import numpy as np
import pytest
import tifffile
from app_harness import (
    TRUTH,
    names,
    record,
    run,
    status,
    write_image,
)

from nucseg import app


def test_one_bad_image_does_not_stop_the_others(folders, capsys):
    (folders[0] / "0 text.tif").write_text("this is no image")
    assert run(folders) == 1
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "nucseg_run.json"]
    assert status(folders[1]) == {"0 text.tif": "failed", "a.tif": "done", "b (2) µ.tif": "done"}
    entry = record(folders[1])["images"][0]
    assert "0 text.tif" in entry["cause"]
    assert entry["hint"]
    last = capsys.readouterr().out.splitlines()[-2:]
    assert last[0].startswith("error: 0 text.tif is ")
    assert last[1] == "100% of 3 images: 2 done, 1 failed"


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("memory", "the memory is too small for this volume"),
        ("shape", "labels of shape (1, 1, 1) for an image of shape (8, 32, 32)"),
        ("float", "labels of type float32"),
    ],
)
def test_all_failed_leaves_an_empty_folder(folders, fault, cause, capsys):
    folders[1].mkdir()
    (folders[1] / ".a.tif.part").write_bytes(b"left by a killed run")
    assert run(folders, "--fault", fault) == 1
    assert names(folders[1]) == []
    assert cause in capsys.readouterr().out


def test_a_bug_in_the_method_is_one_failed_image_with_a_traceback_on_stderr(folders, capsys):
    write_image(folders[0] / "crash.tif")
    assert run(folders, "--fault=crash") == 1
    assert status(folders[1]) == {"a.tif": "done", "b (2) µ.tif": "done", "crash.tif": "failed"}
    shown = capsys.readouterr()
    assert "crash.tif: unexpected error: ValueError: a bug" in shown.out
    assert "Traceback" in shown.err
    assert "Traceback" not in shown.out


def test_an_image_of_one_intensity_has_no_nuclei_whatever_the_method_makes_of_it(folders):
    tifffile.imwrite(folders[0] / "flat.tif", np.full((8, 32, 32), 7, np.uint16))
    assert run(folders, "--fault=shape") == 1
    assert status(folders[1]) == {"a.tif": "failed", "b (2) µ.tif": "failed", "flat.tif": "done"}
    assert not tifffile.imread(folders[1] / "flat.tif").any()


def test_two_images_of_one_name_fail_both(folders):
    write_image(folders[0] / "a.ome.tif")
    write_image(folders[0] / "a.tiff")
    assert run(folders) == 1
    assert names(folders[1]) == ["b (2) µ.tif", "nucseg_run.json"]
    causes = {entry["file"]: entry.get("cause", "") for entry in record(folders[1])["images"]}
    assert "a.ome.tif, a.tiff" in causes["a.tif"]
    assert "a.ome.tif, a.tif" in causes["a.tiff"]


def test_a_file_that_comes_by_costs_a_finished_image_nothing(folders):
    assert run(folders) == 0
    labels = (folders[1] / "a.tif").read_bytes()
    write_image(folders[0] / "a.ome.tif")
    assert run(folders, "--resume") == 1
    assert (folders[1] / "a.tif").read_bytes() == labels
    assert status(folders[1])["a.tif"] == "failed"


def test_unfit_ground_truth_keeps_the_labels(folders, tmp_path, capsys):
    (tmp_path / "gt").mkdir()
    tifffile.imwrite(tmp_path / "gt" / "a.tif", TRUTH[1:])
    assert run(folders, "--gt", f"{tmp_path}/gt") == 1
    assert status(folders[1]) == {"a.tif": "done", "b (2) µ.tif": "done"}
    out = capsys.readouterr().out
    assert "the scores are missing (the labels are written): the ground truth has shape (7, 32, 32)" in out
    assert out.endswith("2 done, 0 failed, 1 result missing beside the labels\n")


def test_an_image_that_fails_now_loses_its_earlier_result(folders):
    assert run(folders) == 0
    (folders[0] / "a.tif").write_text("broken meanwhile")
    assert run(folders) == 1
    assert names(folders[1]) == ["b (2) µ.tif", "nucseg_run.json"]


def test_dangling_link(folders):
    (folders[0] / "c.tif").symlink_to(folders[0] / "gone.tif")
    assert run(folders) == 1
    assert status(folders[1])["c.tif"] == "failed"


def test_channel_has_to_be_chosen(folders):
    tifffile.imwrite(folders[0] / "a.tif", np.stack([TRUTH, TRUTH], 1), imagej=True, metadata={"axes": "ZCYX"})
    assert run(folders) == 1
    assert run(folders, "--nuc_channel=1") == 1  # the other image has no channel 1
    assert status(folders[1]) == {"a.tif": "done", "b (2) µ.tif": "failed"}


# --- what goes wrong before any image


def expect_error(capsys, code, cause, words):
    capsys.readouterr()
    assert app.main([str(word) for word in words]) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert cause in err
    assert "\n  try: " in err
    assert "Traceback" not in err


def test_folders_that_cannot_be(folders, tmp_path, capsys):
    source, out = folders
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    write_image(tmp_path / "hidden" / ".a.tif")
    (tmp_path / "other").mkdir()
    for name in ("c.nd2", "d.png"):
        (tmp_path / "other" / name).touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(source)
    cases = [
        (2, "does not exist", ["--in", tmp_path / "nowhere", "--out", out]),
        (2, "is a file", ["--in", tmp_path / "file", "--out", out]),
        (2, "is empty", ["--in", tmp_path / "empty", "--out", out]),
        (2, "is empty", ["--in", tmp_path / "hidden", "--out", out]),
        (2, "no TIFF or OME-Zarr image in", ["--in", tmp_path / "other", "--out", out]),
        (2, "c.nd2, d.png", ["--in", tmp_path / "other", "--out", out]),
        (2, "is a file", ["--in", source, "--out", tmp_path / "file"]),
        (2, "lies in, the input folder", ["--in", source, "--out", source]),
        (2, "lies in, the input folder", ["--in", source, "--out", source / "new" / "out"]),
        (2, "lies in, the input folder", ["--in", source, "--out", tmp_path / "link"]),
        (2, "lies in, the input folder", ["--in", source, "--out", out, "--overlays", source]),
        (2, "lies in, the input folder", ["--in", source, "--out", out, "--record", source / "run.json"]),
        (2, "lies in, the input folder", ["--in", source, "--out", tmp_path / "other", "--gt", tmp_path / "other"]),
        (2, "no image has a ground truth", ["--in", source, "--out", out, "--gt", tmp_path / "empty"]),
        (2, "neither a shipped model nor a folder", ["--in", source, "--out", out, "--model", "best"]),
        (2, "has no model.json", ["--in", source, "--out", out, "--model", tmp_path / "other"]),
        (2, "--sgima is unknown", ["--in", source, "--out", out, "--sgima", "1"]),
    ]
    for code, cause, words in cases:
        expect_error(capsys, code, cause, words)
    assert not out.exists() or names(out) == []
    assert names(source) == ["a.tif", "b (2) µ.tif"]


def test_no_such_method(monkeypatch, capsys):
    monkeypatch.setenv("NUCSEG_METHOD", "nothing")
    expect_error(capsys, 3, "no method 'nothing'", ["--check"])


def test_a_job_of_a_server_without_its_client_says_what_to_install(capsys):
    assert importlib.util.find_spec("cytomine") is None, "the client belongs into .venv-clients alone"
    line = "python wrapper.py --cytomine_host h --cytomine_public_key p --cytomine_private_key s"
    words = f"{line} --cytomine_id_project 1 --cytomine_id_software 2".split()
    expect_error(capsys, 3, "need a client that is not installed here (cytomine)", words)
    assert app.main(words) == 3
    assert "pip install 'nucseg[cytomine]'" in capsys.readouterr().err


@pytest.fixture
def mounted(folders):
    """Mounts a small file system as the output folder."""

    def mount(options):
        folders[1].mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folders[1]], capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")

    yield mount
    subprocess.run(["umount", folders[1]], capture_output=True)


@pytest.mark.parametrize(("options", "cause"), [("ro", "read-only"), ("size=4k", "disk is full")])
def test_an_output_folder_that_cannot_be_written(folders, mounted, capsys, options, cause):
    mounted(options)
    expect_error(capsys, 3, cause, ["--in", folders[0], "--out", folders[1]])
    assert names(folders[1]) == []


def test_a_disk_that_fills_up_in_the_middle(folders, mounted, capsys):
    mounted("size=300k")
    noise = np.random.default_rng(0).integers(0, 1000, (16, 300, 300)).astype(np.uint16)
    tifffile.imwrite(folders[0] / "a2.tif", noise, imagej=True, metadata={"axes": "ZYX"})
    assert run(folders, "--sigma=0.3", "--device=cpu") == 1
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "nucseg_run.json"]
    assert "a2.tif: no space left" in capsys.readouterr().out


def test_a_gpu_that_is_not_there(folders, capsys):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    expect_error(capsys, 3, "a GPU was asked for", ["--in", folders[0], "--out", folders[1], "--device", "cuda"])
    assert run(folders, "--device=auto", "--use_gpu=true") == 0
    assert "device: cpu (no GPU can be used here)" in capsys.readouterr().out


# --- resuming and stopping
