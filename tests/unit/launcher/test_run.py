"""`nucseg run` and `train` for real, with the process engine and the test method."""

import csv
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from launcher_harness import HERE

from nucseg.formats import read_labels


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
    run("run", "threshold", tmp_path / "images" / second, out, "--gt", truth / second, *HERE, "--resume")
    assert done_images() == [(first, 2), (second, 3)]
    assert "F1 at IoU 0.5" in run("compare", out)


def test_results_of_another_run_are_not_touched_without_resume(finished, nucseg, two_images):
    before = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*")}
    done = nucseg("run", "threshold", two_images, finished.out, *HERE)
    assert done.returncode == 2
    assert "already holds labels of an earlier run (2 images)" in done.stderr
    assert "--resume" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.out.rglob("*")} == before


def test_resume_goes_on_with_the_settings_of_the_run_and_takes_no_others(finished, nucseg, two_images, tmp_path):
    shutil.copytree(finished.out, tmp_path / "out")
    words = ("run", "threshold", two_images, tmp_path / "out", *HERE, "--resume")
    done = nucseg(*words)
    assert done.returncode == 0, done.stderr
    assert "0 done, 0 failed, 2 done before" in done.stdout
    done = nucseg(*words, "--set", "sigma=0.5")
    assert "0 done, 0 failed, 2 done before" in done.stdout
    done = nucseg(*words, "--set", "sigma=2")
    assert done.returncode == 2
    assert "holds results made with sigma 0.5, not 2.0" in done.stderr
    assert {path.name for path in (tmp_path / "out").rglob("*.tif")} == {path.name for path in two_images.iterdir()}


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


def test_results_with_another_extension_count_as_results_too(nucseg, two_images, tmp_path):
    labels = tmp_path / "out" / "methods" / "threshold" / "labels"
    labels.mkdir(parents=True)
    (labels / "OLD.TIFF").touch()
    done = nucseg("run", "threshold", two_images, tmp_path / "out", *HERE)
    assert done.returncode == 2
    assert "labels of an earlier run (1 image)" in done.stderr


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
