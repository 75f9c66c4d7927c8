"""`nucseg rerun` and `export-crate` for real: what a record is good for."""

import json
import shutil
import zipfile
from urllib.parse import unquote

from launcher_harness import check


def test_the_record_is_complete_and_a_rerun_is_byte_identical(compared, nucseg, tmp_path):
    check(compared[0] / "run.json", "run.schema.json")

    done = nucseg("rerun", compared[0] / "run.json", tmp_path / "again")

    assert done.returncode == 0, done.stderr
    assert "threshold: a.tif: byte-identical" in done.stdout
    assert "which are now" not in done.stdout
    again = json.loads((tmp_path / "again" / "run.json").read_text())
    assert again["methods"]["threshold"]["params"] == {"sigma": "0.5"}


def test_a_rerun_tells_what_differs(compared, nucseg, tmp_path):
    run = json.loads((compared[0] / "run.json").read_text())
    run["methods"]["threshold"]["params"] = {"sigma": "2"}
    (tmp_path / "run.json").write_text(json.dumps(run))

    done = nucseg("rerun", tmp_path / "run.json", tmp_path / "again")

    assert done.returncode == 1
    assert "threshold: a.tif: DIFFERENT" in done.stdout


def test_a_rerun_tells_that_the_weights_have_changed(compared, nucseg, tmp_path):
    run = json.loads((compared[0] / "run.json").read_text())
    now = run["methods"]["threshold"]["weights"]["sha256"]
    run["methods"]["threshold"]["weights"]["sha256"] = "0" * 64
    (tmp_path / "run.json").write_text(json.dumps(run))

    done = nucseg("rerun", tmp_path / "run.json", tmp_path / "again")

    assert done.returncode == 0, done.stderr
    assert f"threshold ran with the weights {'0' * 64}, which are now {now}" in done.stdout


def test_a_rerun_with_another_engine_has_no_limit_of_memory(compared, nucseg, tmp_path):
    run = json.loads((compared[0] / "run.json").read_text())
    run["methods"]["threshold"] |= {"engine": "docker", "memory_limit_bytes": 2**30}
    (tmp_path / "run.json").write_text(json.dumps(run))

    done = nucseg("rerun", tmp_path / "run.json", tmp_path / "again", "--engine", "process")

    assert done.returncode == 0, done.stderr
    assert "threshold ran with at most 1.0 GB of memory; with another engine there is no limit" in done.stdout
    again = json.loads((tmp_path / "again" / "run.json").read_text())
    assert again["methods"]["threshold"]["memory_limit_bytes"] is None


def test_a_rerun_needs_the_same_images(compared, nucseg, two_images, tmp_path):
    run = json.loads((compared[0] / "run.json").read_text())
    shutil.copytree(two_images, tmp_path / "images")
    run["methods"]["threshold"]["input"] = str(tmp_path / "images")
    (tmp_path / "run.json").write_text(json.dumps(run))
    with (tmp_path / "images" / "a.tif").open("ab") as file:
        file.write(b"\0")

    done = nucseg("rerun", tmp_path / "run.json", tmp_path / "again")

    assert done.returncode == 2
    assert "a.tif has changed since the run" in done.stderr
    assert not (tmp_path / "again").exists()


def test_a_record_without_results_is_no_rerun(compared, nucseg, tmp_path):
    run = json.loads((compared[0] / "run.json").read_text())
    run["methods"]["threshold"]["images"] = []
    (tmp_path / "run.json").write_text(json.dumps(run))

    done = nucseg("rerun", tmp_path / "run.json", tmp_path / "again")

    assert done.returncode == 2
    assert "holds no results of threshold" in done.stderr
    assert not (tmp_path / "again").exists()


def test_the_crate_describes_itself(compared, nucseg, tmp_path):
    from rocrate.rocrate import ROCrate

    done = nucseg("export-crate", compared[0], tmp_path / "results.zip", "--with-images")

    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        archive.extractall(tmp_path / "crate")
    crate = ROCrate(tmp_path / "crate")
    action = next(entity for entity in crate.get_entities() if entity.type == "CreateAction")
    assert action["instrument"].id == "#threshold"
    assert {entity.id for entity in action["object"]} >= {"images/a.tif", "#threshold-sigma", "#threshold-weights"}
    assert "methods/threshold/labels/a.tif" in {entity.id for entity in action["result"]}
    for entity in crate.data_entities:
        assert (tmp_path / "crate" / unquote(entity.id)).is_file(), entity.id
    assert not list(tmp_path.glob(".*"))
