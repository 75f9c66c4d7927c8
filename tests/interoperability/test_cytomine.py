"""Jobs of a Cytomine server: the entrypoint with the real client, against a server on this machine."""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cytomine_server import FAILED, HUMAN, JOB, JOB_USER, PROJECT, SOFTWARE, TERMINATED, CytomineServer

pytestmark = pytest.mark.needs("clients")

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = next((ROOT / ".venv-clients" / "lib").glob("python*/site-packages"), None)
# The client's packages come last, so that it is the library's own ones that are used otherwise.
PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from nucseg.app import main; sys.exit(main())"

TRUTH = np.zeros((6, 32, 40), np.uint16)
TRUTH[1:5, 4:14, 6:16] = 1
TRUTH[1:5, 7:10, 9:12] = 0  # a hole through the first
TRUTH[2:6, 20:30, 20:35] = 2


def tiff(data: np.ndarray, axes: str = "ZYX") -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, data, ome=True, photometric="minisblack", metadata={"axes": axes})
    return file.getvalue()


def image() -> np.ndarray:
    noise = np.random.default_rng(1).poisson(10, TRUTH.shape)
    return (noise + 500 * (TRUTH > 0)).astype(np.uint16)


@contextmanager
def a_server() -> Iterator[CytomineServer]:
    server = CytomineServer()
    server.add_image(101, "embryo.ome.tif", tiff(image()), len(TRUTH))
    server.add_image(102, "embryo_lbl.ome.tif", tiff(TRUTH), len(TRUTH))
    server.add_image(103, "no truth.tif", tiff(image()), len(TRUTH))
    yield server
    server.close()


@pytest.fixture
def server() -> Iterator[CytomineServer]:
    with a_server() as server:
        yield server


@pytest.fixture(scope="module")
def served() -> Iterator[CytomineServer]:
    """A server whose job is done."""
    with a_server() as server:
        done = work(server)
        assert done.returncode == 0, done.stdout + done.stderr
        yield server


def work(server: CytomineServer, *words: str, keys: tuple[str, str] = JOB_USER) -> subprocess.CompletedProcess[str]:
    """Start the job as the server's router does."""
    line = f"python wrapper.py --cytomine_host {server.address} --cytomine_public_key {keys[0]}"
    line += f" --cytomine_private_key {keys[1]} --cytomine_id_project {PROJECT} --cytomine_id_software {SOFTWARE}"
    line += " --sigma 0.5 [MIN_VOXELS] --connectivity CONNECTIVITY"
    methods = {"NUCSEG_ROOT": str(ROOT / "tests" / "methods"), "NUCSEG_METHOD": "threshold"}
    environment = {**os.environ, **methods, "PYTHONPATH": str(ROOT / "common"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(CLIENTS), *line.split(), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def rings(polygon: str) -> list[np.ndarray]:
    """Corners XY of a polygon in well-known text: its outline and its holes."""
    assert polygon.startswith("POLYGON ((")
    return [
        np.array([point.split() for point in ring.split(",")], int) for ring in re.findall(r"\(([^()]+)\)", polygon)
    ]


def area(ring: np.ndarray) -> float:
    (x, y), (u, v) = ring[:-1].T, ring[1:].T
    return abs(float((x * v - u * y).sum())) / 2


def of_image(server: CytomineServer, number: int, resource: str) -> list[dict[str, Any]]:
    return [entry for entry in server.saved[resource] if entry["image"] == number]


def test_the_labels_become_annotations_and_the_job_ends_well(served: CytomineServer) -> None:
    assert served.job["status"] == TERMINATED
    assert served.job["progress"] == 100
    for number in (101, 103):
        tracks = of_image(served, number, "track")
        assert [track["name"] for track in tracks] == [f"{JOB}-object-1", f"{JOB}-object-2"]
        for label, track in enumerate(tracks, 1):
            annotations = [entry for entry in of_image(served, number, "annotation") if entry["track"] == [track["id"]]]
            planes = np.flatnonzero((label == TRUTH).any(axis=(1, 2)))
            assert sorted(entry["slice"] for entry in annotations) == [number * 10_000 + z for z in planes]
            assert {entry["project"] for entry in annotations} == {PROJECT}
            for entry in annotations:
                outer, *holes = rings(entry["location"])
                assert area(outer) - sum(map(area, holes)) == (TRUTH[planes[0] + 1] == label).sum()
                assert len(holes) == (label == 1)
    outline = rings(of_image(served, 101, "annotation")[0]["location"])[0]
    # Rows 4 to 13 of 32 are 18 to 28 from the bottom.
    assert outline.min(axis=0).tolist() == [6, 18]
    assert outline.max(axis=0).tolist() == [16, 28]
    assert len(outline) == 5
    assert [entry["value"] for entry in served.saved["property"]] == [1, 2, 1, 2]


def test_scores_of_images_with_ground_truth_become_metrics_that_the_server_knows(served: CytomineServer) -> None:
    assert served.saved["imageinstancemetricresult"] == [
        {"image": 101, "job": JOB, "metric": metric, "value": 1.0} for metric in (50, 51)
    ]


def test_the_server_hears_of_the_progress(served: CytomineServer) -> None:
    progress = [state["progress"] for state in served.history]
    assert progress == sorted(progress)
    assert served.history[1]["statusComment"] == "downloading the images"


def test_a_job_that_a_person_starts_is_made_on_the_server_with_its_parameters(server: CytomineServer) -> None:
    assert work(server, keys=HUMAN).returncode == 0
    assert (
        server.saved["jobparameter"][0] | {"job": JOB, "softwareParameter": 60, "value": 0.5}
        == (server.saved["jobparameter"][0])
    )
    assert server.job["status"] == TERMINATED


def test_one_channel_is_segmented_and_annotated(server: CytomineServer) -> None:
    server.images.clear()
    both = np.stack([np.zeros_like(TRUTH), image()], axis=1)
    server.add_image(104, "two.tif", tiff(both, "ZCYX"), len(TRUTH), channels=2)
    done = work(server, "--nuc_channel=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {entry["slice"] // 1000 for entry in server.saved["annotation"]} == {1041}
    assert "no ground truth" in done.stdout
    assert not server.saved["imageinstancemetricresult"]


def test_an_image_that_fails_fails_the_job_and_keeps_the_others(server: CytomineServer) -> None:
    server.add_image(105, "broken.tif", b"no image", 1)
    done = work(server)
    assert done.returncode == 1
    assert server.job["status"] == FAILED
    assert "1 of 3 images failed: broken.tif (105.tif is not a TIFF file" in server.job["statusComment"]
    assert {entry["image"] for entry in server.saved["annotation"]} == {101, 103}


def test_the_server_hears_why_where_no_image_succeeds(server: CytomineServer) -> None:
    server.images.clear()
    server.add_image(105, "broken.tif", b"no image", 1)
    assert work(server).returncode == 1
    assert "1 of 1 images failed: broken.tif (105.tif is not a TIFF file" in server.job["statusComment"]


def test_what_the_server_refuses_fails_the_job(server: CytomineServer) -> None:
    server.refused.add("annotation")
    done = work(server)
    assert done.returncode == 3
    assert "the server refuses 8 of 8 annotations of embryo.ome.tif" in done.stderr
    assert server.job["status"] == FAILED


def test_an_image_whose_slices_are_others_fails_alone(server: CytomineServer) -> None:
    server.images[0]["depth"] = 3
    done = work(server)
    assert done.returncode == 1
    assert "embryo.ome.tif (the server knows 3 slices" in server.job["statusComment"]
    assert {entry["image"] for entry in server.saved["annotation"]} == {103}
    assert {entry["image"] for entry in server.saved["imageinstancemetricresult"]} == {101}


def test_ground_truth_that_does_not_fit_fails_the_job_and_not_the_labels(server: CytomineServer) -> None:
    server.images[1]["content"] = tiff(TRUTH[:, :-1])
    assert work(server).returncode == 1
    assert server.job["status"] == FAILED
    assert "the scores are missing" in server.job["statusComment"]
    assert {entry["image"] for entry in server.saved["annotation"]} == {101, 103}


def test_two_images_of_one_name(server: CytomineServer) -> None:
    server.add_image(106, "embryo.ome.tif", tiff(image()), len(TRUTH))
    assert work(server).returncode == 0
    assert {entry["image"] for entry in server.saved["annotation"]} == {101, 103, 106}
    assert {entry["image"] for entry in server.saved["imageinstancemetricresult"]} == {101, 106}


def test_nothing_is_uploaded_that_was_not_wanted(server: CytomineServer) -> None:
    assert work(server, "-nau", "-nmu").returncode == 0
    assert not server.saved
    assert server.job["status"] == TERMINATED


def test_keys_that_the_server_does_not_know(server: CytomineServer) -> None:
    done = work(server, keys=("public", "very-private"))
    assert done.returncode == 3
    assert "does not know these keys" in done.stderr
    assert "very-private" not in done.stdout + done.stderr
    assert server.history == []
