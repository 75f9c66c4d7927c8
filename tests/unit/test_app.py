"""The entrypoint, run as the containers run it, with a small method that really segments."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nucseg import __version__, app
from nucseg.formats import read_labels

REPOSITORY = Path(__file__).resolve().parents[2]
METHODS = REPOSITORY / "tests" / "methods"


@pytest.fixture(autouse=True)
def threshold_method(monkeypatch):
    monkeypatch.setenv("NUCSEG_ROOT", str(METHODS))
    monkeypatch.setenv("NUCSEG_METHOD", "threshold")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


TRUTH = np.zeros((8, 32, 32), np.uint16)
TRUTH[2:6, 4:12, 4:12] = 1
TRUTH[2:6, 18:28, 18:28] = 2


def write_image(path, seed=0):
    noise = np.random.default_rng(seed).poisson(10, TRUTH.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = (noise + 200 * (TRUTH > 0)).astype(np.uint16)
    tifffile.imwrite(
        path, image, imagej=True, resolution=(2, 2), metadata={"axes": "ZYX", "spacing": 1.0, "unit": "um"}
    )


@pytest.fixture
def folders(tmp_path):
    write_image(tmp_path / "in" / "a.tif", 1)
    write_image(tmp_path / "in" / "b (2) µ.tif", 2)
    return tmp_path / "in", tmp_path / "out"


def run(folders, *words):
    return app.main(["--in", str(folders[0]), "--out", str(folders[1]), *words])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def record(out):
    return json.loads((out / "nucseg_run.json").read_text())


def status(out):
    return {entry["file"]: entry["status"] for entry in record(out)["images"]}


def process(*words, **environment):
    python = [sys.executable, "-m", "nucseg.app", *words]
    full = {**os.environ, "PYTHONPATH": str(REPOSITORY / "common"), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(python, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=full)


# --- what goes right


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
    assert names(tmp_path / "m") == ["a.csv", "b (2) µ.csv"]
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
    scores = record(folders[1])["images"][0]["scores"]
    assert scores[0]["threshold"] == 0.5
    assert scores[0]["f1"] == 1


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


def test_inputs_are_untouched(folders):
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folders[0].iterdir()}
    run(folders)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folders[0].iterdir()} == before


# --- what goes wrong with one image


def test_one_bad_image_does_not_stop_the_others(folders, capsys):
    (folders[0] / "0 text.tif").write_text("this is no image")
    assert run(folders) == 1
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "nucseg_run.json"]
    assert status(folders[1]) == {"0 text.tif": "failed", "a.tif": "done", "b (2) µ.tif": "done"}
    entry = record(folders[1])["images"][0]
    assert "0 text.tif" in entry["cause"]
    assert entry["hint"]
    last = capsys.readouterr().out.splitlines()[-2:]
    assert last[0].startswith("error: 0 text.tif: ")
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


def test_two_images_of_one_name_fail_both(folders):
    write_image(folders[0] / "a.ome.tif")
    write_image(folders[0] / "a.tiff")
    assert run(folders) == 1
    assert names(folders[1]) == ["b (2) µ.tif", "nucseg_run.json"]
    causes = {entry["file"]: entry.get("cause", "") for entry in record(folders[1])["images"]}
    assert "a.ome.tif, a.tiff" in causes["a.tif"]
    assert "a.ome.tif, a.tif" in causes["a.tiff"]


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
        (2, "no TIFF image in", ["--in", tmp_path / "other", "--out", out]),
        (2, "c.nd2, d.png", ["--in", tmp_path / "other", "--out", out]),
        (2, "is a file", ["--in", source, "--out", tmp_path / "file"]),
        (2, "lies in, the input folder", ["--in", source, "--out", source]),
        (2, "lies in, the input folder", ["--in", source, "--out", source / "new" / "out"]),
        (2, "lies in, the input folder", ["--in", source, "--out", tmp_path / "link"]),
        (2, "lies in, the input folder", ["--in", source, "--out", out, "--overlays", source]),
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


def test_resume_does_only_what_is_missing_or_changed(folders, tmp_path, capsys):
    assert run(folders) == 0
    stamps = {path.name: path.stat().st_mtime_ns for path in folders[1].glob("*.tif")}

    def redone():
        changed = {path.name for path in folders[1].glob("*.tif") if path.stat().st_mtime_ns != stamps.get(path.name)}
        stamps.update({path.name: path.stat().st_mtime_ns for path in folders[1].glob("*.tif")})
        return changed

    everything = {"a.tif", "b (2) µ.tif"}
    assert run(folders, "--resume") == 0
    assert "100% of 2 images: 0 done, 0 failed, 2 done before" in capsys.readouterr().out
    assert redone() == set()
    (folders[1] / "a.tif").unlink()
    assert run(folders, "--resume") == 0
    assert redone() == {"a.tif"}
    write_image(folders[0] / "a.tif", seed=9)
    assert run(folders, "--resume") == 0
    assert redone() == {"a.tif"}
    write_image(folders[0] / "c.tif")
    assert run(folders, "--resume") == 0
    assert redone() == {"c.tif"}
    assert set(status(folders[1])) == {*everything, "c.tif"}
    assert run(folders, "--resume", "--measurements", f"{tmp_path}/m") == 0
    assert redone() == {*everything, "c.tif"}
    assert run(folders, "--resume", "--sigma=2") == 0
    assert redone() == {*everything, "c.tif"}
    assert run(folders) == 0
    assert redone() == {*everything, "c.tif"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_keeps_what_is_finished_and_resume_goes_on(folders, number, code):
    write_image(folders[0] / "slow.tif")
    running = process("--in", str(folders[0]), "--out", str(folders[1]), "--fault", "slow", "--device=cpu")
    for line in running.stdout:
        if "waiting" in line:
            break
    (folders[1] / ".slow.tif.part").write_bytes(b"half")
    begun = time.monotonic()
    running.send_signal(number)
    _, err = running.communicate(timeout=20)
    assert running.returncode == code
    assert time.monotonic() - begun < 5
    assert "finished images are complete" in err
    assert "Traceback" not in err
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "nucseg_run.json"]
    (folders[0] / "slow.tif").rename(folders[0] / "c.tif")
    stamp = (folders[1] / "a.tif").stat().st_mtime_ns
    assert run(folders, "--fault=slow", "--resume") == 0
    assert (folders[1] / "a.tif").stat().st_mtime_ns == stamp
    assert set(status(folders[1])) == {"a.tif", "b (2) µ.tif", "c.tif"}


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
        "sys.exit(str([m for m in ('torch', 'numpy', 'scipy', 'stardist') if m in sys.modules] or ''))"
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


def test_train_and_use_the_model(folders, tmp_path, capsys):
    (tmp_path / "gt").mkdir()
    for name in names(folders[0]):
        tifffile.imwrite(tmp_path / "gt" / name, TRUTH)
    words = ["train", "--in", str(folders[0]), "--gt", f"{tmp_path}/gt", "--out", f"{tmp_path}/model", "--largest=2"]
    assert app.main(words) == 0
    assert names(tmp_path / "model") == ["model.json", "weights.safetensors"]
    assert run(folders, "--model", f"{tmp_path}/model") == 0
    assert record(folders[1])["model"]["name"] == "trained"
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
