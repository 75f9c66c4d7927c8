"""The entrypoint, run as the containers run it, with a small method that really segments."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from app_harness import (
    METHODS,
    REPOSITORY,
    TRUTH,
    names,
    process,
    record,
    run,
)

from nucseg import __version__, app
from nucseg.formats import read_labels


def test_a_folder_is_segmented(folders, capsys):
    assert run(folders) == 0
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "nucseg_run.json"]
    labels = read_labels(folders[1] / "a.tif")
    assert labels.shape == TRUTH.shape
    assert np.unique(labels).tolist() == [0, 1, 2]
    entry = record(folders[1])["images"][0]
    assert entry["nuclei"] == 2
    assert entry["voxel_size_um"] == [1.0, 0.5, 0.5]
    assert entry["seconds"] >= 0
    assert entry["peak_memory_mib"] > 10
    assert record(folders[1])["params"]["model"] == "general"
    assert len(record(folders[1])["model"]["sha256"]) == 64
    out = capsys.readouterr().out
    assert re.search(r"^100% image 2/2 b \(2\) µ\.tif: 2 nuclei", out, re.MULTILINE)
    assert out.splitlines()[-1] == "100% of 2 images: 2 done, 0 failed"
    assert not re.search("Running .* Job w/", out)


def test_labels_are_made_consecutive(folders):
    """The method drops small components and leaves gaps; the file has none."""
    image = tifffile.imread(folders[0] / "a.tif")
    image[0, 0, 0] = 5000
    tifffile.imwrite(folders[0] / "a.tif", image, imagej=True, metadata={"axes": "ZYX"})
    assert run(folders, "--sigma=0.1", "--min_voxels=5") == 0
    labels = read_labels(folders[1] / "a.tif")
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_the_biaflows_spelling_with_relative_folders(folders, monkeypatch, capsys):
    monkeypatch.chdir(folders[0].parent)
    words = "python wrapper.py --infolder in --outfolder out --gtfolder gt --local -nmc --sigma=None --use_gpu False"
    assert app.main(words.split()) == 0
    assert names(folders[1])[0] == "a.tif"
    assert "warning: these words in front are ignored: python wrapper.py" in capsys.readouterr().out


def test_measurements_and_overlays_where_they_were_asked_for(folders, tmp_path):
    assert run(folders, "--measurements", f"{tmp_path}/m", "--overlays", f"{tmp_path}/o") == 0
    assert names(tmp_path / "m") == ["a.csv", "a.json", "b (2) µ.csv", "b (2) µ.json"]
    assert len((tmp_path / "m" / "a.csv").read_text().splitlines()) == 3
    assert names(tmp_path / "o")[:3] == ["a_xy.png", "a_xz.png", "a_yz.png"]
    assert len(names(tmp_path / "o")) == 6
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "nucseg_run.json"]


def test_scores(folders, tmp_path, capsys):
    (tmp_path / "gt").mkdir()
    tifffile.imwrite(tmp_path / "gt" / "a.tif", TRUTH)
    assert run(folders, "--gt", f"{tmp_path}/gt", "--sigma", "0.5") == 0
    out = capsys.readouterr().out
    assert re.search(r"scores a\.tif: at IoU 0\.5: F1 1\.000.*2 true and 2 found", out)
    assert "b (2) µ.tif has no ground truth" in out
    entry = record(folders[1])["images"][0]
    assert entry["scores"][0]["threshold"] == 0.5
    assert entry["scores"][0]["f1"] == 1
    assert set(entry["biaflows"]) == {"DC", "AHD", "FOVL", "mAP"}
    assert re.search(rf"^> a\.tif: \[DC:{entry['biaflows']['DC']}, AHD:\S+, FOVL:\S+, mAP:\S+\]$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("values", "words"),
    [((255, 255), "a.tif is a mask of 0 and one value"), ((3, 9), "the numbers in a.tif have gaps"), ((1, 2), None)],
)
def test_what_ground_truth_is_taken_for_is_said(folders, tmp_path, values, words, capsys):
    (tmp_path / "gt").mkdir()
    tifffile.imwrite(tmp_path / "gt" / "a.tif", np.array([0, *values], np.uint16)[TRUTH])
    assert run(folders, "--gt", f"{tmp_path}/gt", "--sigma", "0.5") == 0
    out = capsys.readouterr().out
    assert sum(part in out for part in ("is a mask", "have gaps")) == (words is not None)
    assert words is None or words in out


def test_no_nuclei_are_said(folders, capsys):
    tifffile.imwrite(folders[0] / "a.tif", np.full((5, 9, 9), 7, np.uint8))
    assert run(folders, "--only=a.tif") == 0
    assert "note: a.tif: no nucleus found: check the channel" in capsys.readouterr().out


def test_scores_without_the_memory_for_the_metrics_of_biaflows(folders, tmp_path, monkeypatch, capsys):
    (tmp_path / "gt").mkdir()
    tifffile.imwrite(tmp_path / "gt" / "a.tif", TRUTH)
    monkeypatch.setattr("nucseg.scoring.available_memory", lambda: 6 * TRUTH.size - 1)
    assert run(folders, "--gt", f"{tmp_path}/gt", "--sigma", "0.5") == 0
    assert "warning: no BIAFLOWS metrics of a.tif: they take 4.92e-05 GB" in capsys.readouterr().out
    entry = record(folders[1])["images"][0]
    assert entry["scores"][0]["f1"] == 1
    assert "biaflows" not in entry


def test_scores_of_an_image_without_nuclei(folders, tmp_path, capsys):
    (tmp_path / "gt").mkdir()
    tifffile.imwrite(tmp_path / "gt" / "a.tif", np.zeros_like(TRUTH))
    assert run(folders, "--gt", f"{tmp_path}/gt", "--sigma", "0.5") == 0
    assert "> a.tif: [DC:0.0, AHD:nan, FOVL:0.0, mAP:0.0]" in capsys.readouterr().out
    assert record(folders[1])["images"][0]["biaflows"] == {"DC": 0, "AHD": None, "FOVL": 0, "mAP": 0}


@pytest.mark.parametrize("name", ["a.ome.tif", "a_lbl.tif"])
def test_ground_truth_of_another_spelling(folders, tmp_path, name):
    (tmp_path / "gt").mkdir()
    tifffile.imwrite(tmp_path / "gt" / name, TRUTH, metadata={"axes": "ZYX"})
    assert run(folders, "--gt", f"{tmp_path}/gt") == 0
    assert "scores" in record(folders[1])["images"][0]


def test_the_same_input_gives_the_same_bytes(folders, tmp_path):
    assert run(folders) == 0
    assert run((folders[0], tmp_path / "again")) == 0
    assert (folders[1] / "a.tif").read_bytes() == (tmp_path / "again" / "a.tif").read_bytes()


def test_a_twin_is_noticed_also_where_it_is_not_among_the_chosen(folders, capsys):
    (folders[0] / "a.ome.tif").write_bytes((folders[0] / "a.tif").read_bytes())
    assert run(folders, "--only=a.tif") == 1
    assert "same name as those of a.ome.tif" in capsys.readouterr().out


def test_inputs_are_untouched(folders):
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folders[0].iterdir()}
    run(folders)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folders[0].iterdir()} == before


# --- the other commands


def test_version_is_quick():
    """In seconds of the processor, because this machine may be busy."""
    times = []
    for _ in range(3):
        before = os.times()
        running = process("--version")
        out, _ = running.communicate()
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert out == f"nucseg threshold {__version__}\n"
        assert running.returncode == 0
    assert min(times) < 0.3


@pytest.mark.parametrize("word", ["--version", "--help", "--describe"])
@pytest.mark.parametrize("root", [METHODS, REPOSITORY])
def test_nothing_heavy_is_imported(word, root):
    code = (
        "import sys; from nucseg import app; app.main([sys.argv[1]]); "
        "sys.exit(str([m for m in ('torch', 'numpy', 'scipy', 'stardist', 'zarr') if m in sys.modules] or ''))"
    )
    for method in sorted(path.parent.name for path in (root / "images").glob("*/method.py")):
        environment = {
            **os.environ,
            "NUCSEG_ROOT": str(root),
            "NUCSEG_METHOD": method,
            "PYTHONPATH": str(REPOSITORY / "common"),
        }
        shown = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True, env=environment)
        assert shown.stderr.strip() == ""
        assert shown.stdout


def test_describe_prints_the_descriptor(capsys):
    assert app.main(["--describe"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "threshold"


def test_check(capsys):
    assert app.main(["--check", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    for part in ("numpy 2", "device: cpu", "GiB free", "model: general", "segmented a test volume"):
        assert part in out
    assert app.main(["--check", "--device", "cpu", "--fault=memory"]) == 3
    assert app.main(["--check", "--model=best"]) == 2


@pytest.mark.parametrize("harm", [lambda weights: weights.write_bytes(b"other"), Path.unlink], ids=["damaged", "gone"])
def test_check_finds_that_the_shipped_weights_are_unfit(harm, tmp_path, monkeypatch, capsys):
    shutil.copytree(METHODS, tmp_path / "root")
    monkeypatch.setenv("NUCSEG_ROOT", str(tmp_path / "root"))
    harm(tmp_path / "root" / "images" / "threshold" / "weights" / "general" / "weights.safetensors")
    assert app.main(["--check", "--device", "cpu"]) == 2
    assert "the check failed" in capsys.readouterr().err


def test_train_and_use_the_model(folders, tmp_path, capsys):
    (tmp_path / "gt").mkdir()
    for name in names(folders[0]):
        tifffile.imwrite(tmp_path / "gt" / name, TRUTH)
    words = ["train", "--in", str(folders[0]), "--gt", f"{tmp_path}/gt", "--out", f"{tmp_path}/model", "--largest=2"]
    assert app.main(words) == 0
    assert names(tmp_path / "model") == ["model.json", "weights.safetensors"]
    assert run(folders, "--model", f"{tmp_path}/model") == 0
    assert record(folders[1])["model"]["name"] == "model"
    assert app.main([*words, "--largest=0"]) == 2
    assert app.main([*words[:-2], str(folders[0])]) == 2


# --- the container's surroundings


def test_without_home_user_or_writable_caches(folders, tmp_path):
    """As in a container: no home, cache folders that can't be written, a locale without Unicode."""
    temp = tmp_path / "temp"
    temp.mkdir()
    bad = {"HOME": "/dev/null", "NUMBA_CACHE_DIR": "/dev/null/x", "MPLCONFIGDIR": "/dev/null/x", "TMPDIR": str(temp)}
    bad |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ["--in", str(folders[0]), "--out", str(folders[1]), "--device=cpu"]
    running = process(*words, **bad)
    out, err = running.communicate()
    assert running.returncode == 0, err
    assert "100% of 2 images" in out
    assert names(temp) == []
