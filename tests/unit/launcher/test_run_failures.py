"""Runs that fail, are interrupted or lose their reader, with the process engine and the test method."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launcher_harness import HERE, read_until


def processes_with(text: str) -> list[str]:
    """Command lines of living processes that contain a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line and "nucseg.app" in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def one_bad(nucseg, two_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    shutil.copy(two_images / "a.tif", folder / "a.tif")
    (folder / "b [1].tif").write_text("not a TIFF at all")
    shutil.copy(two_images / "a.tif", folder / "crash.tif")
    out = tmp_path_factory.mktemp("bad-out")
    return out, nucseg("run", "threshold", folder, out, *HERE, "--set", "fault=crash")


def test_failed_images_are_listed_with_their_causes_and_the_others_are_done(one_bad):
    out, done = one_bad
    assert done.returncode == 1
    assert "1 of 3 images done" in done.stdout
    box = done.stderr[done.stderr.index("╭") :]
    assert "2 images could not be segmented" in box
    assert "b [1].tif is not a TIFF file" in box
    assert "crash.tif: unexpected error: ValueError: a bug" in box
    assert str(out / "methods/threshold/stdout.log") in box
    assert {path.name for path in (out / "methods/threshold/labels").glob("*.tif")} == {"a.tif"}


def test_each_failure_is_told_once_before_the_box(one_bad):
    out, done = one_bad
    lines = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert [line.split(": ")[1].split(" holds")[0].split(" is ")[0] for line in lines] == ["b [1].tif", "crash.tif"]
    # In the log they stand once more at its end, for those who read only that.
    assert all((out / "methods/threshold/stdout.log").read_text().count(line) == 2 for line in lines)


def test_failed_images_are_rows_of_the_summary(one_bad):
    out, _ = one_bad
    rows = {row["image"]: row for row in json.loads((out / "summary.json").read_text())}
    assert [rows[name]["status"] for name in ("a.tif", "b [1].tif", "crash.tif")] == ["done", "failed", "failed"]
    assert rows["crash.tif"]["cause"] == "unexpected error: ValueError: a bug"


def test_when_no_image_can_be_done_the_causes_are_told_all_the_same(nucseg, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.tif").write_text("no TIFF")
    done = nucseg("run", "threshold", tmp_path / "images", tmp_path / "out", *HERE)
    assert done.returncode == 1
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert rows[0]["status"] == "failed"
    assert rows[0]["cause"]
    assert rows[0]["cause"].startswith("a.tif is not a TIFF file")
    assert done.stderr.count(rows[0]["cause"]) == 1


def test_a_folder_that_is_no_model_ends_with_the_method_s_own_words(nucseg, two_images, tmp_path):
    (tmp_path / "model").mkdir()
    words = ["run", "threshold", two_images, tmp_path / "out", *HERE, "--model", tmp_path / "model"]
    done = nucseg(*words)
    assert done.returncode == 2
    box = done.stderr[done.stderr.index("╭") :]
    assert "model" in box
    assert "Try:" in box
    # Nothing was made, so nothing stands against trying again.
    assert nucseg(*words[:-2], "--dry-run").returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_run_keeps_what_is_done_leaves_nothing_running_and_resumes(
    nucseg, slow_images, tmp_path, number, code
):
    out = tmp_path / "out"
    words = ["run", "threshold", slow_images, out, *HERE, "--set", "fault=slow"]
    process = nucseg.start(*words)
    read_until(process, "slow.tif: waiting")

    second = nucseg(*words, "--resume")
    process.send_signal(number)
    shown, box = process.communicate(timeout=120)

    assert second.returncode == 2
    assert "another nucseg run is writing to" in second.stderr
    assert process.returncode == code
    assert "1 of 2 images done" in shown
    assert "--resume" in box
    assert not (out / "report.html").exists()
    assert processes_with(str(out)) == []
    folder = out / "methods" / "threshold"
    assert json.loads((folder / "status.json").read_text())["status"] == "interrupted"
    assert list(out.rglob("*.part")) == []
    written = (folder / "labels" / "a.tif").stat().st_mtime_ns

    if number == signal.SIGTERM:
        again = nucseg.start(*words, "--resume")
        read_until(again, "a.tif: done by an earlier run")
        again.send_signal(number)
        again.communicate(timeout=120)
        assert (folder / "labels" / "a.tif").stat().st_mtime_ns == written


def test_a_run_whose_reader_goes_away_is_finished(nucseg, two_images, tmp_path):
    words = [sys.executable, "-m", "nucseg_launcher", "run", "threshold", two_images, tmp_path / "out", *HERE]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=nucseg.environment())
    assert process.stdout
    process.stdout.readline()
    process.stdout.close()
    process.wait(timeout=60)
    assert json.loads((tmp_path / "out/methods/threshold/status.json").read_text())["status"] == "done"


def test_a_run_whose_log_s_disk_is_full_is_finished(nucseg, two_images, tmp_path):
    with Path("/dev/full").open("w") as full:
        words = ["run", "threshold", two_images, tmp_path / "out", "--engine", "process", "--device", "cpu"]
        command = [sys.executable, "-m", "nucseg_launcher", *map(str, words)]
        done = subprocess.run(command, stdout=full, stderr=full, env=nucseg.environment())
    assert done.returncode == 0
    status = json.loads((tmp_path / "out" / "methods" / "threshold" / "status.json").read_text())
    assert status["status"] == "done"


def test_a_killed_method_ends_with_4_and_its_end_is_explained(nucseg, slow_images, tmp_path):
    process = nucseg.start("run", "threshold", slow_images, tmp_path / "out", *HERE, "--set", "fault=slow")
    read_until(process, "slow.tif: waiting")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"nucseg.app" in line and str(tmp_path).encode() in line:
            os.kill(int(path.parent.name), signal.SIGKILL)
    _, box = process.communicate(timeout=120)
    assert process.returncode == 4
    assert "SIGKILL" in box
    assert "1 image finished before and kept, 1 not done" in box
    assert "stderr.log" in box


def test_cuda_without_a_gpu_is_3(nucseg, two_images, tmp_path):
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has a GPU")
    done = nucseg("run", "threshold", two_images, tmp_path / "out", "--engine", "process", "--device", "cuda")
    assert done.returncode == 3
    assert "Cause:" in done.stderr


def test_when_records_cannot_be_written_the_results_are_told_all_the_same(nucseg, two_images, tmp_path):
    # In the way of the summary: not even root can put a file in place of a folder.
    (tmp_path / "out" / "summary.tsv" / "x").mkdir(parents=True)
    done = nucseg("run", "threshold", two_images, tmp_path / "out", *HERE)
    assert done.returncode == 3
    assert "2 of 2 images done" in done.stdout
    assert "summary.tsv" in done.stderr
    assert "Traceback" not in done.stderr
