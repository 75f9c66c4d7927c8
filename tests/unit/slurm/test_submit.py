"""Which images a submission is for: those that are not finished."""

import json

import numpy as np
import pytest

from nucseg.formats import content_sha256, write_labels
from nucseg_launcher.catalogue import get_method
from nucseg_launcher.engines.base import Job
from nucseg_launcher.layout import MethodFolder
from nucseg_launcher.slurm.submit import missing_images


@pytest.fixture
def job(tmp_path):
    """Two images with ground truth, both finished."""
    folder = MethodFolder(tmp_path / "out")
    for place in (tmp_path / "in", tmp_path / "gt", folder.labels):
        place.mkdir(parents=True)
        for name in ("a.tif", "b.tif"):
            write_labels(place / name, np.ones((2, 3, 4), np.uint8), None)
    entries = [
        {"file": name, "status": "done", "scores": [], "truth_sha256": content_sha256(tmp_path / "gt" / name)}
        for name in ("a.tif", "b.tif")
    ]
    folder.container_record.write_text(json.dumps({"images": entries}))
    return Job("x", get_method("deepsynth"), folder, tmp_path, tmp_path / "in", gt_dir=tmp_path / "gt")


def test_what_is_finished_is_not_missing(job):
    assert missing_images(job) == ([], "2 done before, 0 queued or running")


def test_an_image_whose_ground_truth_has_changed_is_missing(job):
    write_labels(job.gt_dir / "b.tif", np.zeros((2, 3, 4), np.uint8), None)
    assert missing_images(job) == (["b.tif"], "1 done before, 0 queued or running")
