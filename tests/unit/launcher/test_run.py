"""`nucseg run` and `train` for real, with the process engine and the test method."""

import csv
import hashlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nucseg.formats import read_labels

# Without looking for a GPU, which imports torch, a run takes a third of the time.
HERE = ("--engine", "process", "--device", "cpu")


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


def test_each_image_gets_labels_a_table_and_pictures(finished, two_images):
    assert finished.result.returncode == 0, finished.result.stderr
    for path in two_images.iterdir():
        assert (finished.folder / "labels" / path.name).is_file()
        assert (finished.folder / "measurements" / f"{path.stem}.csv").is_file()
        assert (finished.folder / "measurements" / f"{path.stem}.json").is_file()
        assert all((finished.folder / "overlays" / f"{path.stem}_{view}.png").is_file() for view in ("xy", "xz", "yz"))
    assert read_labels(finished.folder / "labels" / "a.tif").max() == 2


def test_the_end_of_a_run_says_where_the_results_are(finished):
    out = finished.result.stdout
    assert "threshold: 2 of 2 images done, 5 nuclei" in out
    assert "F1 at IoU 0.5: 1.000, the mean of 2 images" in out
    for path in (
        "methods/threshold/labels",
        "methods/threshold/measurements",
        "methods/threshold/overlays",
        "summary.tsv",
    ):
        assert str(finished.out / path) in out
    assert finished.result.stderr == ""


def test_the_summary_has_a_row_per_image_with_its_scores(finished, two_images):
    with (finished.out / "summary.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["image"] for row in rows] == sorted(path.name for path in two_images.iterdir())
    assert [row["nuclei"] for row in rows] == ["2", "3"]
    assert {row["status"] for row in rows} == {"done"}
    assert {row["f1_at_0.5"] for row in rows} == {"1"}
    assert {row[f"voxel_size_{axis}_um"] for row in rows for axis in "zyx"} == {"0.5"}
    assert all(float(row["seconds"]) >= 0 for row in rows)
    content = json.loads((finished.out / "summary.json").read_text())
    assert content[0]["scores"][0]["f1"] == 1


def test_the_records_say_what_ran_and_how(finished, two_images):
    run = json.loads((finished.out / "run.json").read_text())
    method = run["methods"]["threshold"]
    assert run["host"]["cores"] == os.cpu_count()
    assert method["params"] == {"sigma": "0.5"}
    assert method["input"] == str(two_images)
    assert method["started"] <= method["ended"]
    status = json.loads((finished.folder / "status.json").read_text())
    assert (status["status"], status["exit_code"], status["engine"]) == ("done", 0, "process")
    assert status["peak_memory_bytes"] > 10 * 2**20
    assert "doi:10.1109/TSMC.1979.4310076" in (finished.out / "CITATION.md").read_text()


def test_the_command_is_printed_and_kept(finished):
    command = (finished.folder / "command.txt").read_text().strip()
    assert command in finished.result.stdout
    assert command == json.loads((finished.out / "run.json").read_text())["methods"]["threshold"]["command"]


def test_logs_and_resources_are_kept(finished):
    assert "100% image 2/2 b, second (µm).tif: 3 nuclei" in (finished.folder / "stdout.log").read_text()
    head, *rows = (finished.folder / "resources.tsv").read_text().splitlines()
    assert head.split("\t") == ["seconds", "memory_bytes", "cpu_percent", "gpu_memory_bytes"]
    assert rows
    assert all(int(row.split("\t")[1]) > 0 for row in rows)


def test_without_a_terminal_progress_is_plain_lines_with_percentages(finished):
    out = finished.result.stdout
    assert "\x1b" not in out
    assert "\r" not in out
    assert " 0% image 1/2 a.tif: begins" in out


def test_one_image_is_segmented_where_it_lies_beside_others(nucseg, two_images, truth, tmp_path):
    shutil.copytree(two_images, tmp_path / "images")
    (tmp_path / "images" / "notes.txt").touch()
    first, second = sorted(path.name for path in two_images.iterdir())
    out = tmp_path / "images" / "results"

    def run(*words):
        done = nucseg(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def done_images():
        rows = json.loads((out / "summary.json").read_text())
        return [(row["image"], row["nuclei"]) for row in rows]

    said = run("run", "threshold", tmp_path / "images" / first, out, "--gt", truth, *HERE)
    assert "1 of 1 image done, 2 nuclei" in said
    assert "notes.txt" not in said
    assert done_images() == [(first, 2)]
    assert f"{first}: byte-identical" in run("rerun", out / "run.json", tmp_path / "again")
    assert not (tmp_path / "again" / "methods" / "threshold" / "labels" / second).exists()

    said = run("compare", "threshold", tmp_path / "images" / first, out, *HERE)
    assert "done by an earlier run" in said
    run("run", "threshold", tmp_path / "images" / second, out, "--gt", truth, *HERE, "--resume")
    assert done_images() == [(first, 2), (second, 3)]
    assert "F1 at IoU 0.5" in run("compare", out)


def test_results_of_another_run_are_not_touched_without_resume(finished, nucseg, two_images):
    before = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*")}
    done = nucseg("run", "threshold", two_images, finished.out, *HERE)
    assert done.returncode == 2
    assert "already holds labels of an earlier run (2 images)" in done.stderr
    assert "--resume" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.out.rglob("*")} == before


def test_results_of_other_images_are_not_mixed_in(finished, nucseg, tmp_path):
    shutil.copytree(finished.out, tmp_path / "out")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "other.tif").touch()
    done = nucseg("run", "threshold", tmp_path / "images", tmp_path / "out", *HERE, "--resume")
    assert done.returncode == 2
    assert "images that are not in the input folder: a.tif" in done.stderr


def test_on_a_terminal_there_are_bars_and_no_color_is_respected(finished, nucseg, two_images, truth, tmp_path):
    shutil.copytree(finished.out, tmp_path / "out")
    words = ["run", "threshold", str(two_images), str(tmp_path / "out"), "--gt", str(truth)]
    words += [*HERE, "--set", "sigma=0.5", "--resume"]
    environment = {**nucseg.environment(), "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "nucseg_launcher", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while piece := _read(ours):
        shown += piece
    os.close(ours)

    assert process.wait() == 0
    text = shown.decode()
    assert "100%" in text
    assert "━" in text
    # Moving the cursor is not a colour; ESC[3xm and ESC[38;...m are.
    assert "\x1b[3" not in text
    assert "a.tif: done by an earlier run" in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Linux reports the other side's end as an error.
        return b""


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
    nucseg, slow_images, tmp_path, read_until, number, code
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


def test_the_peak_memory_is_that_of_the_child_itself(nucseg):
    code = """
import sys
from nucseg_launcher.engines.child import run_child
class Silent:
    out = err = sample = lambda self, data: None
for work in ("x = b'1' * 300_000_000", "pass"):
    print(run_child([sys.executable, "-c", work], Silent()).peak_memory)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=nucseg.environment())
    large, small = done.stdout.split()
    assert int(large) > 300_000_000
    assert small == "None"


def test_a_killed_method_ends_with_4_and_its_end_is_explained(nucseg, slow_images, tmp_path, read_until):
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


def test_results_with_another_extension_count_as_results_too(nucseg, two_images, tmp_path):
    labels = tmp_path / "out" / "methods" / "threshold" / "labels"
    labels.mkdir(parents=True)
    (labels / "OLD.TIFF").touch()
    done = nucseg("run", "threshold", two_images, tmp_path / "out", *HERE)
    assert done.returncode == 2
    assert "labels of an earlier run (1 image)" in done.stderr


def test_when_records_cannot_be_written_the_results_are_told_all_the_same(nucseg, two_images, tmp_path):
    # In the way of the summary: not even root can put a file in place of a folder.
    (tmp_path / "out" / "summary.tsv" / "x").mkdir(parents=True)
    done = nucseg("run", "threshold", two_images, tmp_path / "out", *HERE)
    assert done.returncode == 3
    assert "2 of 2 images done" in done.stdout
    assert "summary.tsv" in done.stderr
    assert "Traceback" not in done.stderr


def test_inputs_are_not_changed(nucseg, two_images, truth, tmp_path):
    for source in (two_images, truth):
        shutil.copytree(source, tmp_path / "inputs" / source.name)

    def state() -> dict[Path, tuple[int, str]]:
        """When each file and folder was changed last, and what is in it."""
        return {
            path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
            for path in (tmp_path / "inputs").rglob("*")
        }

    before = state()
    images, labels = (tmp_path / "inputs" / source.name for source in (two_images, truth))
    done = nucseg("run", "threshold", images, tmp_path / "out", "--gt", labels, *HERE)
    assert done.returncode == 0, done.stderr
    assert state() == before


def test_gpu_memory_is_what_the_driver_says_above_the_start(nucseg, two_images, tmp_path):
    # A driver's program that counts up: 100 MiB in use before the run, on two GPUs together.
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho x >> {tmp_path}/calls\necho $((50 + $(wc -l < {tmp_path}/calls)))\necho 49\n")
    program.chmod(0o755)
    seeing = replace(nucseg, variables={"PATH": f"{program.parent}:{os.environ['PATH']}"})

    done = seeing("run", "threshold", two_images, tmp_path / "out", *HERE)

    assert done.returncode == 0, done.stderr
    status = json.loads((tmp_path / "out" / "methods" / "threshold" / "status.json").read_text())
    asked = len((tmp_path / "calls").read_text().split())
    assert status["peak_gpu_bytes"] == (asked - 1) * 2**20
