"""What a second run finds of a first: records, `--only`, `--resume`, signals."""

import json
import re
import signal
import time

import numpy as np
import pytest
import tifffile
from app_harness import (
    TRUTH,
    names,
    process,
    record,
    run,
    status,
    write_image,
)


def test_runs_that_share_a_folder_each_with_its_own_images_and_record(folders, capsys):
    (folders[0] / "broken.tif").write_bytes(b"no image")
    parts = {"a.tif": "1.json", "b (2) µ.tif": "2.json", "broken.tif": "3.json"}
    running = [
        process(
            *map(
                str,
                ("--in", folders[0], "--out", folders[1], f"--only={name}", "--record", folders[1] / "tasks" / record),
            )
        )
        for name, record in parts.items()
    ]
    assert [one.wait(timeout=60) for one in running] == [0, 0, 1]
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "tasks"]
    records = [json.loads((folders[1] / "tasks" / name).read_text())["images"] for name in parts.values()]
    assert [[entry["file"] for entry in images] for images in records] == [[name] for name in parts]
    assert [images[0]["status"] for images in records] == ["done", "done", "failed"]
    assert run(folders, "--only=a.tif", "--record", f"{folders[1]}/tasks/1.json", "--resume") == 0
    assert "100% of 1 image: 0 done, 0 failed, 1 done before" in capsys.readouterr().out


def test_one_image_done_again_leaves_the_others_in_the_record(folders, capsys):
    assert run(folders) == 0
    assert run(folders, "--only=a.tif") == 0
    assert set(status(folders[1])) == {"a.tif", "b (2) µ.tif"}
    assert run(folders, "--resume") == 0
    assert "0 done, 0 failed, 2 done before" in capsys.readouterr().out
    assert run(folders, "--only=a.tif", "--sigma=2") == 0
    assert set(status(folders[1])) == {"a.tif"}


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
    (tmp_path / "m" / "a.json").unlink()
    assert run(folders, "--resume", "--measurements", f"{tmp_path}/m") == 0
    assert redone() == {"a.tif"}
    capsys.readouterr()
    assert run(folders, "--resume", "--sigma=2") == 0
    assert "note: all images are done again: what was done before was with other settings (sigma)" in (
        capsys.readouterr().out
    )
    assert redone() == {*everything, "c.tif"}
    assert run(folders) == 0
    assert redone() == {*everything, "c.tif"}


def test_a_failed_image_has_no_labels_of_other_settings(folders):
    assert run(folders) == 0
    assert run(folders, "--only=a.tif", "--sigma=2") == 0
    (folders[0] / "b (2) µ.tif").write_text("broken meanwhile")
    assert run(folders, "--sigma=2", "--resume") == 1
    assert names(folders[1]) == ["a.tif", "nucseg_run.json"]


def test_a_table_of_other_labels_is_made_anew(folders, tmp_path):
    measured = ("--measurements", f"{tmp_path}/m")
    assert run(folders, *measured) == 0
    before = (tmp_path / "m" / "a.csv").read_text()
    assert run(folders, "--min_voxels=300") == 0
    assert run(folders, "--min_voxels=300", *measured, "--resume") == 0
    after = (tmp_path / "m" / "a.csv").read_text()
    assert len(after.splitlines()) - 1 == record(folders[1])["images"][0]["nuclei"] < len(before.splitlines()) - 1


def test_resume_with_an_image_that_cannot_be_read_any_more(folders, capsys):
    assert run(folders) == 0
    image = folders[0] / "b (2) µ.tif"
    image.rename(folders[0].parent / "away.tif")
    image.symlink_to(folders[0].parent / "nowhere.tif")
    capsys.readouterr()
    assert run(folders, "--resume") == 1
    out, err = capsys.readouterr()
    assert re.search(r"image 2/2 b \(2\) µ\.tif: failed", out)
    assert "cannot read b (2) µ.tif" in out
    assert "Traceback" not in err
    assert names(folders[1]) == ["a.tif", "b (2) µ.tif", "nucseg_run.json"]


def test_resume_scores_again_where_the_ground_truth_has_changed(folders, tmp_path, capsys):
    label, gt = folders[1] / "a.tif", tmp_path / "gt"
    gt.mkdir()
    for image in folders[0].iterdir():
        tifffile.imwrite(gt / image.name, TRUTH)
    assert run(folders, "--gt", f"{gt}", "--sigma=0.5") == 0
    before, stamp = record(folders[1]), label.stat().st_mtime_ns

    def resumed(*words):
        capsys.readouterr()
        code = run(folders, "--resume", "--sigma=0.5", *words)
        assert label.stat().st_mtime_ns == stamp
        return code, capsys.readouterr().out, record(folders[1])["images"]

    code, out, entries = resumed("--gt", f"{gt}")
    assert (code, "scores a.tif" in out, entries) == (0, False, before["images"])

    tifffile.imwrite(gt / "a.tif", np.where(TRUTH == 2, 0, TRUTH))
    code, out, entries = resumed("--gt", f"{gt}")
    assert (code, "0 done, 0 failed, 2 done before" in out, "scores b" in out) == (0, True, False)
    assert [(entry["scores"][0]["n_true"], entry["scores"][0]["f1"]) for entry in entries] == [(1, 2 / 3), (2, 1)]
    assert entries[0]["labels_sha256"] == before["images"][0]["labels_sha256"]

    other = tmp_path / "other"
    other.mkdir()
    tifffile.imwrite(other / "b (2) µ.tif", TRUTH)
    code, _, entries = resumed("--gt", f"{other}")
    assert (code, ["scores" in entry for entry in entries]) == (0, [False, True])

    tifffile.imwrite(other / "a.tif", TRUTH[1:])
    code, out, entries = resumed("--gt", f"{other}")
    assert (code, entries[0]["status"]) == (1, "done")
    assert "the scores are missing (the labels are written): the ground truth has shape" in entries[0]["problems"][0]
    assert "1 result missing beside the labels" in out


def test_a_record_that_cannot_be_written_costs_no_result(folders, tmp_path, capsys):
    gt = tmp_path / "gt"
    gt.mkdir()
    for image in folders[0].iterdir():
        tifffile.imwrite(gt / image.name, TRUTH)
    assert run(folders) == 0
    before = (folders[1] / "a.tif").stat().st_mtime_ns
    write_image(folders[0] / "c.tif", 3)
    # Where the record is written, until it is complete.
    (folders[1] / ".nucseg_run.json.part").mkdir()
    (folders[1] / ".nucseg_run.json.part" / "x").touch()

    assert run(folders, "--resume", "--gt", f"{gt}") == 3
    said = capsys.readouterr().out
    assert "nucseg_run.json" in said
    assert "100% of 3 images: 0 done, 3 failed" in said
    assert {"a.tif", "b (2) µ.tif", "c.tif"} <= set(names(folders[1]))
    assert (folders[1] / "a.tif").stat().st_mtime_ns == before


def test_new_results_stay_where_the_record_cannot_be_written(folders, capsys):
    assert run(folders) == 0
    before = (folders[1] / "a.tif").stat().st_mtime_ns
    (folders[1] / ".nucseg_run.json.part").mkdir()
    (folders[1] / ".nucseg_run.json.part" / "x").touch()
    assert run(folders, "--resume", "--sigma=2") != 0
    assert (folders[1] / "a.tif").stat().st_mtime_ns > before


def test_ground_truth_that_cannot_be_read_costs_a_finished_image_nothing(folders, tmp_path, capsys):
    gt = tmp_path / "gt"
    gt.mkdir()
    for image in folders[0].iterdir():
        tifffile.imwrite(gt / image.name, TRUTH)
    assert run(folders, "--gt", f"{gt}") == 0
    (gt / "a.tif").unlink()
    (gt / "a.tif").symlink_to(tmp_path / "nowhere.tif")
    assert run(folders, "--resume", "--gt", f"{gt}") == 1
    out, err = capsys.readouterr()
    assert "the scores are missing (the labels are written)" in out
    assert "Traceback" not in err
    assert set(status(folders[1]).values()) == {"done"}


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
    _, err = running.communicate(timeout=120)
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
