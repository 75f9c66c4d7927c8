"""What is wrong with a command is told before anything is made or started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launcher_harness import METHODS, REPOSITORY

from nucseg_launcher.checks.preflight import existing_folder


@pytest.mark.parametrize(
    ("words", "code", "cause", "hint"),
    [
        (["info", "treshold"], 2, "no method 'treshold'", "did you mean threshold?"),
        (["run", "threshold", "{absent}", "{out}"], 2, "the input folder {absent} does not exist", "spelling"),
        (["run", "threshold", "{text}/notes.txt", "{out}"], 2, "is no TIFF or OME-Zarr image", "convert"),
        (["run", "threshold", "{image}", "{images}"], 2, "the input folder", "outside"),
        (["run", "threshold", "{images}", "{out}", "--gt", "{image}"], 2, "is a file", "folder it lies in"),
        (
            ["run", "threshold", "{image}", "{out}", "--gt", "{second}"],
            2,
            "of a.tif in {images} is a.tif, not b",
            "move b",
        ),
        (
            ["compare", "threshold", "{image}", "{out}", "--gt", "{absent}"],
            2,
            "ground truth folder {absent} does",
            "spell",
        ),
        (["run", "threshold", "{empty}", "{out}"], 2, "is empty", "put .tif"),
        (["run", "threshold", "{text}", "{out}"], 2, "no TIFF or OME-Zarr image", "convert"),
        (["run", "threshold", "{images}", "{images}/out"], 2, "lies in, the input folder", "outside"),
        (["run", "threshold", "{images}", "{out}", "--gt", "{empty}"], 2, "no image has a ground truth", "file name"),
        (
            ["run", "threshold", "{images}", "{out}", "--set", "sgima=1"],
            2,
            "no parameter 'sgima'",
            "did you mean sigma?",
        ),
        (["run", "threshold", "{images}", "{out}", "--set", "sigma"], 2, "has no value", "--set sigma=value"),
        (
            ["run", "threshold", "{images}", "{out}", "--set", "sigma=11"],
            2,
            "out of range: 0.0 to 10.0",
            "info threshold",
        ),
        (["run", "threshold", "{images}", "{out}", "--set", "sigma=big"], 2, "not a number", "info threshold"),
        (
            ["run", "threshold", "{images}", "{out}", "--set", "min_voxels=1.5"],
            2,
            "not a whole number",
            "info threshold",
        ),
        (["run", "threshold", "{images}", "{out}", "--set", "use_gpu=maybe"], 2, "neither true nor false", "info"),
        (["run", "threshold", "{images}", "{out}", "--set", "connectivity=edge"], 2, "one of face, corner", "info"),
        (["run", "threshold", "{images}", "{out}", "--set", "sigma=1", "--set", "sigma=2"], 2, "given twice", "once"),
        (
            ["run", "threshold", "{images}", "{out}", "--set", "model=general", "--model", "nice"],
            2,
            "model is given twice: general and nice",
            "once",
        ),
        (["run", "threshold", "{images}", "{out}", "--sgima", "1"], 2, "no parameter 'sgima'", "did you mean sigma?"),
        (["run", "--sigma=11", "threshold", "{images}", "{out}"], 2, "out of range: 0.0 to 10.0", "info threshold"),
        (["compare", "threshold", "{images}", "{out}", "--threshold.sgima=1"], 2, "no parameter 'sgima'", "sigma?"),
        (["submit", "--min-voxels", "1", "threshold", "{images}", "{out}"], 2, "'min-voxels'", "min_voxels?"),
        (["train", "threshold", "{images}", "{out}", "--largets=2"], 2, "no training parameter 'largets'", "largest?"),
        (["train", "threshold", "{images}", "{out}", "--set", "x=1"], 2, "no training parameter 'x'", "info threshold"),
        (["train", "threshold", "{images}", "{out}", "--steps", "0"], 2, "out of range: at least 1", "info threshold"),
        (
            ["run", "threshold,other", "{images}", "{out}"],
            2,
            "one method, not threshold,other",
            "nucseg compare threshold,other {images} {out}",
        ),
        (["compare", "", "{images}", "{out}"], 2, "no method is named", "one of threshold"),
        (["submit", " , ", "{images}", "{out}"], 2, "no method is named", "one of threshold"),
        (["run", "threshold", "{images}", "{out}", "--model", "nice"], 2, "no model nice", "shipped models: general"),
        (["run", "threshold", "{images}", "{out}", "--model", "./nice"], 2, "no model ./nice", "folder"),
        (["run", "threshold", "{images}", "{out}", "--memory", "much"], 2, "not an amount of memory", "8g"),
        (["run", "threshold", "{images}", "{out}", "--memory", "4g"], 3, "--memory needs a container", "leave it out"),
        (["run", "threshold", "{images}", "{out}", "--engine", "docker"], 3, "Docker does not answer", "process"),
        (
            ["train", "threshold", "{images}", "{out}", "--gt", "{absent}"],
            2,
            "the folder of labels {absent}",
            "spelling",
        ),
        (["train", "threshold", "{images}", "{out}"], 2, "holds no folders images and labels", "--gt LABELS"),
        (["train", "threshold", "{half}", "{out}"], 2, "{half} holds no folder labels", "make {half}/labels, or"),
        (["run", "threshold", "{images}", "{image}"], 2, "cannot be {image}: {image} is a file", "name a folder"),
        (["compare", "threshold", "{images}", "{image}/out"], 2, "{image} is a file", "name a folder"),
        (["train", "threshold", "{images}", "{image}", "--gt", "{images}"], 2, "is a file", "name a folder"),
        (["score", "{results}", "{images}"], 2, "results of a run", "nucseg score {results}/methods/half/labels"),
        (["train", "threshold", "{images}", "{out}", "--val", "{images}"], 2, "go together", "--val-gt"),
        (["simulate", "jungle", "{out}"], 2, "jungle", "embryo"),
        (["simulate", "embryo", "{out}", "-n", "0"], 2, "no volume", "-n 1"),
        (["simulate", "embryo", "{out}", "--shape", "5"], 2, "no shape", "32,128,128"),
        (["build", "threshold"], 3, "build_images.py is missing", "repository"),
        (["pull", "threshold"], 3, "Docker does not answer", "start Docker"),
        (["sif", "threshold", "--from", "{absent}"], 2, "there is no file {absent}", "docker save"),
        (["sif", "threshold", "threshold", "--from", "{image}"], 2, "archive of one image", "one METHOD"),
    ],
)
def test_mistakes_end_before_anything_is_made(tmp_path, nucseg, two_images, words, code, cause, hint):
    names = {name: tmp_path / name for name in ("absent", "empty", "text", "out")}
    names["empty"].mkdir()
    names["text"].mkdir()
    names["half"] = tmp_path / "only images"
    (names["half"] / "images").mkdir(parents=True)
    names["results"] = tmp_path / "results"
    (names["results"] / "methods" / "half" / "labels").mkdir(parents=True)
    (names["text"] / "notes.txt").write_text("no image")
    names |= {"images": two_images, "image": two_images / "a.tif"}
    names["second"] = two_images / "b, second (µm).tif"

    done = nucseg(*(word.format(**names) for word in words))

    assert done.returncode == code
    box = done.stderr
    assert cause.format(**names) in box
    assert hint.format(**names) in box
    # The cause comes first, then one thing to try.
    assert box.index("Cause:") < box.index("Try:")
    assert "Traceback" not in box
    assert not names["out"].exists()


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["sif", "threshold"], "Apptainer is not installed"),
        (["run", "threshold", "{images}", "{out}", "--engine", "apptainer"], "Apptainer is not installed"),
        (["run", "threshold", "{images}", "{out}", "--engine", "podman"], "Podman is not installed"),
    ],
)
def test_a_program_that_is_not_installed_is_named_with_a_remedy(tmp_path, nucseg, two_images, words, cause):
    bare = type(nucseg)(nucseg.root, {"PATH": "/nonexistent"})
    done = bare(*(word.format(images=two_images, out=tmp_path / "out") for word in words))
    assert done.returncode == 3
    assert cause in done.stderr
    assert "Try:" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["build"], ["pull"]])
def test_where_images_cannot_be_had_the_way_without_is_named(tmp_path, root, nucseg, words):
    shutil.copytree(root, tmp_path / "root")
    (tmp_path / "root" / "scripts").mkdir()
    (tmp_path / "root" / "scripts" / "build_images.py").touch()
    done = type(nucseg)(tmp_path / "root")(*words, "threshold")
    assert done.returncode == 3
    assert "Docker does not answer" in done.stderr
    assert "start Docker" in done.stderr
    # The option is another command's, so that is named with it.
    assert "nucseg run METHOD IN OUT --engine process" in done.stderr
    assert done.stderr.count("--engine") == 1


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["run", "cellpose_sam"], "--model=path"),
        (["compare", "stardist3d,cellpose_sam"], "--set cellpose_sam.model=path"),
        (["submit", "cellpose_sam,stardist3d"], "--set cellpose_sam.model=path"),
    ],
)
def test_weights_that_a_method_comes_without_are_asked_for_before_anything_starts(
    tmp_path, nucseg, two_images, words, option
):
    engine = [] if words[0] == "submit" else ["--engine", "process"]
    real = type(nucseg)(REPOSITORY)
    done = real(*words, two_images, tmp_path / "out", *engine)
    assert done.returncode == 2
    assert "cellpose_sam comes without weights" in done.stderr
    assert option in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_method_that_is_not_trained_says_so_before_anything_starts(tmp_path, two_images, nucseg):
    real = type(nucseg)(REPOSITORY)
    done = real("train", "cellpose_sam", two_images, tmp_path / "out", "--gt", two_images, "--engine", "process")
    assert done.returncode == 2
    assert "Cellpose-SAM is used with its published weights and is not trained here" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_record_can_hold_is_told_before_the_run(tmp_path, nucseg, two_images):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(two_images / "a.tif", os.fsencode(folder) + b"/Zelle_\xfc.tif")
    done = nucseg("run", "threshold", folder, tmp_path / "out", "--engine", "process")
    assert done.returncode == 2
    assert "is not Unicode" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["IN", "OUT", "--gt", "--model"])
def test_a_folder_that_no_record_can_hold_is_told_before_the_run(tmp_path, nucseg, two_images, truth, place):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Z\xfcrich"))
    sources = {"IN": two_images, "--gt": truth, "--model": METHODS / "threshold" / "weights" / "general"}
    if place in sources:
        shutil.copytree(sources[place], folder)
    words = {**sources, "OUT": tmp_path / "out", place: folder}
    options = ("--gt", words["--gt"], "--model", words["--model"], "--engine", "process", "--device", "cpu")

    done = nucseg("run", "threshold", words["IN"], words["OUT"], *options)

    assert done.returncode == 2
    assert "rich is not Unicode" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_training_data_in_a_folder_that_no_record_can_hold_is_told(tmp_path, nucseg, two_images, truth):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Z\xfcrich"))
    shutil.copytree(two_images, folder)
    done = nucseg("train", "threshold", folder, tmp_path / "out", "--gt", truth, "--engine", "process")
    assert (done.returncode, "rich is not Unicode" in done.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_the_home_folder_is_known_where_no_shell_puts_it_in(tmp_path, nucseg, two_images, truth):
    shutil.copytree(truth, tmp_path / "home" / "labels")
    shutil.copytree(two_images, tmp_path / "home" / "images")
    at_home = type(nucseg)(nucseg.root, {"HOME": str(tmp_path / "home")})
    words = ("--gt=~/labels", "--engine", "process", "--device", "cpu", "--dry-run")

    done = at_home("run", "threshold", "~/images", tmp_path / "out", *words)

    assert done.returncode == 0, done.stderr
    assert f"--in {tmp_path / 'home' / 'images'}" in done.stdout
    assert f"--gt {tmp_path / 'home' / 'labels'}" in done.stdout
    assert at_home("score", "~/labels", "~/labels").returncode == 0


def test_a_folder_whose_name_begins_like_a_user_s_home_is_found(tmp_path, monkeypatch):
    (tmp_path / "~no such user").mkdir()
    monkeypatch.chdir(tmp_path)
    assert existing_folder("the input folder", Path("~no such user")) == tmp_path / "~no such user"


def test_errors_of_the_system_are_told_like_all_others(nucseg, two_images, tmp_path):
    # The name is too long for any file system.
    done = nucseg("score", two_images, tmp_path / ("x" * 300))
    assert done.returncode == 3
    assert "File name too long" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_folder_below_one_that_may_not_be_entered_is_told(tmp_path, monkeypatch):
    (tmp_path / "private" / "images").mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    code = f"""
import os, sys
from pathlib import Path
from nucseg.errors import NucsegError
from nucseg_launcher.checks.preflight import existing_folder
os.setuid(65534)
try:
    existing_folder("the input folder", Path({str(tmp_path / "private" / "images")!r}))
except NucsegError as error:
    print(error.exit_code, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("3 the input folder")
    assert "may not be reached by you" in done.stdout


def test_the_name_of_a_root_that_is_none_is_told(tmp_path, nucseg):
    done = type(nucseg)(tmp_path)("list")
    assert done.returncode == 3
    assert f"NUCSEG_ROOT is {tmp_path}" in done.stderr


def test_an_output_folder_that_cannot_be_written_is_told(tmp_path, nucseg, two_images):
    (tmp_path / "file").write_text("")
    done = nucseg("run", "threshold", two_images, tmp_path / "file" / "out", "--engine", "process")
    assert done.returncode == 2
    assert f"{tmp_path / 'file'} is a file" in done.stderr
    assert "Traceback" not in done.stderr
