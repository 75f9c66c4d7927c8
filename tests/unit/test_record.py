"""The run record: complete after every image, absent where nothing was done, comparable for resuming."""

import json

import pytest

from nucseg.record import DONE, FAILED, FILE_NAME, RunRecord, changed_settings, read_images, same_settings

SETTINGS = {
    "nucseg": "0.1.0",
    "method": "m",
    "model": {"name": "g", "sha256": "a" * 64},
    "params": {"prob": 0.1, "n": 1},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / FILE_NAME


def test_written_after_every_image(path):
    record = RunRecord(path, SETTINGS, {"device": "cpu"})
    record.add("a.tif", DONE, nuclei=3, shape=(1, 2, 3))
    first = json.loads(path.read_text())
    assert first == {
        **SETTINGS,
        "device": "cpu",
        "images": [{"file": "a.tif", "status": "done", "nuclei": 3, "shape": [1, 2, 3]}],
    }
    record.add("b.tif", FAILED, cause="why", hint="so")
    assert [entry["status"] for entry in json.loads(path.read_text())["images"]] == ["done", "failed"]
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]


def test_no_file_while_nothing_is_done_and_an_old_one_goes(path):
    path.write_text("{}")
    record = RunRecord(path, SETTINGS)
    record.add("a.tif", FAILED, cause="why", hint="")
    assert not path.exists()


def test_a_record_of_failures_alone_where_it_is_wanted(path):
    record = RunRecord(path, SETTINGS, of_failures=True)
    record.add("a.tif", FAILED, cause="why", hint="so")
    assert read_images(path)["a.tif"]["cause"] == "why"
    record.add("b.tif", DONE)
    assert set(read_images(path)) == {"a.tif", "b.tif"}


def test_same_settings(path):
    assert not same_settings(path, SETTINGS)
    RunRecord(path, SETTINGS, {"device": "cuda"}, {"a.tif": {"file": "a.tif", "status": DONE}}).write()
    assert same_settings(path, SETTINGS)
    for change in (
        {"nucseg": "0.2.0"},
        {"model": {"name": "g", "sha256": "b" * 64}},
        {"params": {"prob": 0.2, "n": 1}},
        {"params": {"prob": 0.1}},
    ):
        assert not same_settings(path, {**SETTINGS, **change})


def test_changed_settings_are_named(path):
    assert changed_settings(path, SETTINGS) == []
    RunRecord(path, {**SETTINGS, "params": {"model": "g", "n": 1}}, {}, {"a": {"file": "a", "status": DONE}}).write()
    now = {**SETTINGS, "model": {"name": "g", "sha256": "b" * 64}, "params": {"model": "g", "n": 2}}
    assert changed_settings(path, now) == ["model", "n"]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"images": 3}', '{"images": [3, {}]}'])
def test_a_broken_record_is_no_record(path, content):
    path.write_text(content)
    assert read_images(path) == {}
    assert not same_settings(path, SETTINGS)


def test_names_that_are_no_unicode(path):
    RunRecord(path, SETTINGS).add("a\udcff µ.tif", DONE)
    assert set(read_images(path)) == {"a\udcff µ.tif"}
