"""Where each image stands, by files first; and the records of tasks that become one."""

import json

import pytest

from nucseg.record import DONE, FAILED, read_json
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.record import NOT_DONE
from nucseg_launcher.slurm.causes import HEAD
from nucseg_launcher.slurm.client import TaskState
from nucseg_launcher.slurm.collect import forget_failures, join_records
from nucseg_launcher.slurm.submission import Submission, add_submission, read_submissions
from nucseg_launcher.slurm.survey import QUEUED, RUNNING, UNKNOWN, recorded_images, survey

SETTINGS = {"nucseg": "0.1.0", "method": "m"}


@pytest.fixture
def folder(tmp_path):
    folder = MethodFolder(tmp_path)
    folder.labels.mkdir()
    folder.tasks.mkdir()
    return folder


def record(folder, job, task, *, labels=True, **statuses):
    """What a task has recorded, the label images of what it has done beside it."""
    entries = [{"file": f"{name}.tif", "status": status} for name, status in statuses.items()]
    for entry in entries:
        if entry["status"] == FAILED:
            entry |= {"cause": f"why of {job}", "hint": "so"}
        elif labels:
            (folder.labels / entry["file"]).touch()
    folder.task_file(job, task, ".json").write_text(json.dumps({**SETTINGS, "images": entries}))


def submission(job, *tasks):
    return Submission(
        job, "2026-11-25T21:00:00+00:00", "0-00:20:00", "16G", [[f"{name}.tif" for name in task] for task in tasks]
    )


def stands(folder, submissions, tasks):
    return {image.name.removesuffix(".tif"): image.state for image in survey(folder, submissions, tasks)}


def test_files_come_before_what_slurm_says(folder):
    record(folder, "7", 0, a=DONE)
    record(folder, "7", 1, b=FAILED)
    tasks = {("7", number): TaskState("RUNNING") for number in (0, 2)} | {
        ("7", 3): TaskState("PENDING", None, "Priority")
    }
    found = survey(folder, [submission("7", "a", "b", "c", "d")], tasks)
    assert [image.state for image in found] == [DONE, FAILED, RUNNING, QUEUED]
    assert found[1].entry["cause"] == "why of 7"
    assert found[3].reason == "Priority"
    assert [image.alive for image in found] == [False, False, True, True]


def test_a_record_without_its_label_image_is_not_done(folder):
    record(folder, "7", 0, labels=False, a=DONE)
    assert stands(folder, [submission("7", "a")], {("7", 0): TaskState("COMPLETED", 0)}) == {"a": NOT_DONE}


def test_a_killed_task_fails_only_what_it_has_not_done(folder):
    record(folder, "7", 0, a=DONE)
    found = survey(folder, [submission("7", "abc")], {("7", 0): TaskState("OUT_OF_MEMORY", 125)})
    assert [image.state for image in found] == [DONE, FAILED, FAILED]
    assert "16G" in found[2].entry["cause"]


def test_without_slurm_the_files_tell_what_they_know(folder):
    record(folder, "7", 0, a=DONE)
    record(folder, "7", 1, b=FAILED)
    assert stands(folder, [submission("7", "a", "b", "c")], None) == {"a": DONE, "b": FAILED, "c": UNKNOWN}


def test_the_last_start_of_a_task_tells_its_ending(folder):
    """A node failed, Slurm started the task again, and it met a bad image: the log has both."""
    log = f"{HEAD}7_0 on n1\nCANCELLED AT 21:06 DUE TO NODE FAILURE\n{HEAD}7_0 on n2\nerror: no model. Try: a model\n"
    folder.task_file("7", 0, ".err").write_text(log)
    found = survey(folder, [submission("7", "a")], {})
    assert found[0].entry["cause"] == "no model"


def test_the_latest_submission_of_an_image_counts(folder):
    submissions = [submission("7", "a", "b"), submission("12", "b")]
    tasks = {("7", 0): TaskState("COMPLETED", 0), ("7", 1): TaskState("TIMEOUT", 15), ("12", 0): TaskState("PENDING")}
    record(folder, "7", 0, a=DONE)
    assert stands(folder, submissions, tasks) == {"a": DONE, "b": QUEUED}


def test_records_become_one_and_those_of_running_tasks_stay(folder):
    folder.container_record.write_text(json.dumps({**SETTINGS, "images": [{"file": "z.tif", "status": DONE}]}))
    record(folder, "9", 0, a=DONE)
    record(folder, "10", 0, b=DONE)
    record(folder, "10", 1, c=FAILED)
    tasks = {("10", 0): TaskState("RUNNING"), ("10", 1): TaskState("FAILED", 1)}
    before = recorded_images(folder)
    for _ in range(2):
        join_records(folder, tasks)
        whole = read_json(folder.container_record)
        assert {key: whole[key] for key in SETTINGS} == SETTINGS
        assert [entry["file"] for entry in whole["images"]] == ["a.tif", "b.tif", "c.tif", "z.tif"]
        assert recorded_images(folder) == before
        assert [path.name for path in folder.tasks.iterdir()] == ["10_0.json"]


def test_what_is_tried_again_has_not_failed(folder):
    record(folder, "9", 0, a=DONE, b=FAILED)
    join_records(folder, {})
    forget_failures(folder)
    assert recorded_images(folder).keys() == {"a.tif"}
    forget_failures(MethodFolder(folder.path / "nothing"))


def test_submissions_are_kept_in_order(folder):
    assert read_submissions(folder) == []
    for job in ("9", "10"):
        add_submission(folder, submission(job, "ab", "c"))
    assert [entry.job for entry in read_submissions(folder)] == ["9", "10"]
    assert read_submissions(folder)[1].tasks == [["a.tif", "b.tif"], ["c.tif"]]
