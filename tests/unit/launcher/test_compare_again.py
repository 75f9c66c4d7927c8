"""compare over results that are there: kept, refused or waited for, never replaced by others."""

import json
import shutil
from pathlib import Path

import pytest
from launcher_harness import HERE

from nucseg import __version__
from nucseg_launcher.layout import OutFolder
from nucseg_launcher.lock import locked
from nucseg_launcher.slurm.submission import Submission, add_submission


@pytest.fixture(scope="module")
def trained(nucseg, two_images, truth, tmp_path_factory) -> Path:
    """A model of the user's own."""
    out = tmp_path_factory.mktemp("trained") / "out"
    done = nucseg("train", "threshold", two_images, out, "--gt", truth, *HERE, "--set", "largest=1")
    assert done.returncode == 0, done.stderr
    return out / "model"


@pytest.fixture
def results(nucseg, two_images, trained, tmp_path):
    """Results of `run` with that model and a setting; the model may be changed."""
    model = shutil.copytree(trained, tmp_path / "model")
    words = ("--model", model, "--set", "min_voxels=3", *HERE)
    done = nucseg("run", "threshold", two_images, tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    return OutFolder(tmp_path / "out")


def hold(out):
    """What must not change: the labels, and what the record says that they were made with."""
    facts = json.loads(out.run.read_text())["methods"]["threshold"]
    labels = {path.name: path.stat().st_mtime_ns for path in out.method("threshold").labels.glob("*.tif")}
    return labels, facts["model"], facts["weights"]


@pytest.mark.parametrize("options", [(), ("--set", "min_voxels=03", "--set", "sigma=0")])
def test_compare_keeps_results_with_the_model_and_settings_they_were_made_with(options, nucseg, two_images, results):
    before = hold(results)
    done = nucseg("compare", "threshold", two_images, results.path, *HERE, *options)
    assert done.returncode == 0, done.stderr
    assert "0 done, 0 failed, 2 done before" in done.stdout
    assert hold(results) == before


@pytest.mark.parametrize(
    ("option", "cause"),
    [
        ("min_voxels=4", "made with min_voxels 3, not 4"),
        ("threshold.sigma=2", "made with sigma 0.0, not 2.0"),
        ("model=general", "/model, not general"),
    ],
)
def test_compare_refuses_to_replace_results(option, cause, nucseg, two_images, results):
    before = hold(results)
    done = nucseg("compare", "threshold", two_images, results.path, *HERE, "--set", option)
    told = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert cause in told
    assert f"remove {results.method('threshold').path} to have them made again" in told
    assert hold(results) == before


def test_compare_refuses_to_replace_results_of_other_weights_or_another_version(nucseg, two_images, results):
    before, words = hold(results), ("compare", "threshold", two_images, results.path, *HERE)
    record = results.method("threshold").container_record
    text = record.read_text()
    record.write_text(text.replace(f'"nucseg": "{__version__}"', '"nucseg": "0.0.1"'))
    done = nucseg(*words)
    assert (done.returncode, f"made with nucseg 0.0.1, not {__version__}" in done.stderr) == (2, True)

    record.write_text(text)
    description, weights = Path(before[1]) / "model.json", before[2]["sha256"]
    description.write_text(description.read_text().replace(weights, "0" * 64))
    done = nucseg(*words)
    assert (done.returncode, f"weights {weights}, not {'0' * 64}" in done.stderr) == (2, True)
    assert hold(results) == before


def test_nothing_is_kept_of_a_run_that_came_to_nothing(nucseg, two_images, tmp_path):
    words = ("compare", "threshold", two_images, tmp_path / "out", *HERE)
    assert nucseg(*words, "--set", "fault=shape").returncode == 1
    assert nucseg(*words).returncode == 0


def test_nobody_waits_for_a_run_that_goes_on(nucseg, two_images, finished, tmp_path):
    out = OutFolder(tmp_path / "out")
    shutil.copytree(finished.out, out.path)
    folder = out.method("threshold")
    folder.status.unlink()
    add_submission(folder, Submission("7", "2026-11-25T21:00:00+00:00", "10", "1G", [["a.tif", "more.tif"]]))

    with locked(folder.path):
        status = nucseg("status", out.path)
        compare = nucseg("compare", out.path)
        run = nucseg("run", "threshold", two_images, out.path, "--resume", *HERE)

    assert "another nucseg run is writing to" in status.stderr
    assert status.stdout.split()[-7:] == ["threshold", "0", "0", "2", "0", "0", "1"]
    assert status.returncode == 0
    assert "threshold may not be complete: another nucseg run is writing to" in compare.stderr
    assert compare.returncode == 0
    assert "another nucseg run is writing to" in run.stderr
    assert run.returncode == 2
