"""`nucseg submit` and `nucseg status` on a real Slurm with the real container of a method, and what goes wrong."""

import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from container_harness import ROOT, make_sif
from launcher_harness import Launcher

from nucseg import __version__
from nucseg.errors import about
from nucseg.formats import read_labels, write_volume
from nucseg.simulation import simulate
from nucseg_launcher.layout import OutFolder

pytestmark = pytest.mark.needs("slurm", "apptainer", "docker")

METHOD = "deepsynth"
NAMES = ("a 'b' [1].tif", "c µ (2).tif", "d$HOME.ome.tif")
SMALL = ("--device", "cpu", "--cpus", "1", "--mem", "3G", "--time", "10")
ONE_BY_ONE = ("--cpus", str(os.cpu_count()))
# Resampled to 180 times as many voxels: minutes of work and gigabytes from a small file.
LARGE = ("--set", "nucleus_diameter=3")


def slurm(*words: str) -> str:
    """What one of Slurm's programs prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def wait_until(happens: Callable[[], object], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)


@dataclass
class Cluster:
    """The launcher on a login node; `out` is its output folder."""

    images: Path
    out: Path
    sif: Path

    @property
    def folder(self) -> Path:
        return self.out / "methods" / METHOD

    def nucseg(self, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return Launcher(ROOT, {"NUCSEG_SIF_DIR": str(self.sif.parent), **variables})(*words)

    def submit(self, *options: str) -> str:
        """Submit and return what is said."""
        done = self.nucseg("submit", METHOD, self.images, self.out, *SMALL, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self, **variables: str) -> tuple[int, dict[str, int], str]:
        """Exit code, numbers of images, and all that is said."""
        done = self.nucseg("status", self.out, **variables)
        head, row = done.stdout.splitlines()[:2]
        names = head.replace("not done", "not-done").split()[1:]
        counts = dict(zip(names, map(int, row.split()[1:]), strict=True))
        return done.returncode, {name: count for name, count in counts.items() if count}, done.stdout

    def wait(self, **variables: str) -> tuple[int, dict[str, int], str]:
        """The status when no task is left."""
        wait_until(lambda: not slurm("squeue", "--noheader", f"--jobs={self.jobs[-1]}"), "the job's end", 300)
        return self.status(**variables)

    @property
    def jobs(self) -> list[str]:
        return [entry["job"] for entry in self.read("submissions.json")["submissions"]]

    def read(self, name: str) -> dict:
        content: dict = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return content

    def said(self, job: str, task: int) -> str:
        log = self.folder / "tasks" / f"{job}_{task}.out"
        return log.read_text(encoding="utf-8") if log.exists() else ""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("my images [1]")
    for seed, name in enumerate(NAMES):
        # The second is killed while it is segmented, which must take some seconds.
        write_image(folder / name, seed, (48, 160, 160) if seed == 1 else (16, 64, 64))
    return folder


def write_image(path: Path, seed: int, shape: tuple[int, int, int]) -> None:
    volume, _ = simulate("embryo", seed=seed, shape=shape)
    write_volume(path, volume.data, volume.voxel_size)


@pytest.fixture
def cluster(images: Path, tmp_path: Path) -> Iterator[Cluster]:
    """Images, and a folder to write to; whatever happens, its jobs are over and the node works afterwards."""
    cluster = Cluster(images, tmp_path / "my results", make_sif(METHOD))
    yield cluster
    if (cluster.folder / "submissions.json").exists():
        slurm("scancel", *cluster.jobs)
    set_node("resume")


def set_node(state: str) -> None:
    node = slurm("sinfo", "--noheader", "--format=%n")
    if state == "resume" and "drain" not in slurm("sinfo", "--noheader", "--format=%T"):
        return
    slurm("scontrol", "update", f"nodename={node}", f"state={state}", "reason=test")


def test_a_drained_node_and_a_killed_task_lose_nothing(cluster: Cluster) -> None:
    said = cluster.submit(*ONE_BY_ONE)
    job = cluster.jobs[0]
    assert f"job {job}, 3 images in 3 tasks" in said

    wait_until(lambda: cluster.said(job, 0), "the first task begins")
    set_node("drain")
    wait_until(lambda: cluster.status()[1] == {"done": 1, "queued": 2}, "the running task ends on the drained node")
    wait_until(lambda: "2 queued, Slurm says: " in cluster.status()[2], "Slurm says why the others wait")
    assert cluster.status()[0] == 0
    assert "nothing is missing: 1 done before, 2 queued or running" in cluster.submit("--resume")
    assert cluster.jobs == [job]

    set_node("resume")
    wait_until(lambda: "begins" in cluster.said(job, 1), "the second image begins")
    slurm("scancel", "--signal=KILL", "--full", f"{job}_1")
    code, counts, said = cluster.wait()
    assert (code, counts) == (1, {"done": 2, "failed": 1})
    assert f"{NAMES[1]}: it was cancelled (scancel)" in said
    assert cluster.read("status.json")["status"] == "incomplete"

    assert "1 image in 1 task (2 done before, 0 queued or running)" in cluster.submit("--resume")
    code, counts, _ = cluster.wait()
    assert (code, counts) == (0, {"done": 3})

    log = (cluster.folder / "stdout.log").read_text(encoding="utf-8")
    assert Counter(re.findall(r"^100% image 1/1 (.*): \d+ nuclei", log, re.MULTILINE)) == dict.fromkeys(NAMES, 1)
    recorded = cluster.read("labels/nucseg_run.json")["images"]
    assert [(entry["file"], entry["status"]) for entry in recorded] == [(name, "done") for name in sorted(NAMES)]
    assert {path.name for path in (cluster.folder / "labels").iterdir()} == {*NAMES, "nucseg_run.json"}
    assert all(read_labels(cluster.folder / "labels" / entry["file"]).max() == entry["nuclei"] for entry in recorded)
    assert not list(cluster.out.rglob("*.part"))
    assert not list((cluster.folder / "tasks").glob("*.json"))
    assert cluster.read("status.json")["status"] == "done"
    assert (cluster.out / "summary.tsv").read_text(encoding="utf-8").count("\tdone\t") == 3
    assert "nothing is missing" in cluster.submit("--resume")

    assert cluster.nucseg("compare", cluster.out).returncode == 0
    assert (cluster.out / "report.html").exists()


def test_several_images_per_task_and_an_image_that_fails(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in NAMES[:2]:
        shutil.copy(cluster.images / name, folder)
    (folder / "broken.tif").write_bytes(b"no image")
    cluster.images = folder
    assert "3 images in 1 task" in cluster.submit("--array-size", "1")
    code, counts, said = cluster.wait()
    assert (code, counts) == (1, {"done": 2, "failed": 1})
    entry = next(entry for entry in cluster.read("status.json")["images"] if entry["file"] == "broken.tif")
    assert f"  {about('broken.tif', entry['cause'])}" in said
    (folder / "broken.tif").write_bytes((folder / NAMES[0]).read_bytes())
    assert "1 image in 1 task" in cluster.submit("--resume")
    code, counts, _ = cluster.wait()
    assert (code, counts) == (0, {"done": 3})


def test_out_of_memory_and_out_of_time_are_told_apart(cluster: Cluster, tmp_path: Path) -> None:
    """Also where there is no accounting (sacct): by the queue while it remembers the job, and by the log."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "squeue").symlink_to(str(shutil.which("squeue")))
    cluster.images = tmp_path / "images"
    cluster.images.mkdir()
    write_image(cluster.images / "large.tif", 0, (48, 192, 192))
    starved = replace(cluster, images=tmp_path / "floats", out=tmp_path / "starved")
    starved.images.mkdir()
    # Tiles are sized to the memory there is, but the labels are as large as the volume. That is compressed and thus
    # held: a program that copies a mapped file may live on at its limit, reading its pages anew.
    floats = np.zeros((150, 1000, 1000), np.float32)
    floats[75, 500, 500] = 1
    write_volume(starved.images / "large.tif", floats, None)
    # Seen so small, the volume is segmented at once.
    starved.submit("--mem", "1000M", "--set", "nucleus_diameter=150")
    cluster.submit(*LARGE, "--time", "1")
    for one, cause in (
        (starved, "large.tif: out of memory: it reached its limit of 1000M"),
        (cluster, "large.tif: out of time: it reached its limit (--time=1)"),
    ):
        for code, counts, said in (one.wait(PATH=str(programs)), one.wait()):
            assert (code, counts) == (1, {"failed": 1})
            assert cause in said
        assert one.read("status.json")["images"][0]["cause"] in said


def test_a_cluster_that_refuses(cluster: Cluster) -> None:
    done = cluster.nucseg("submit", METHOD, cluster.images, cluster.out, *SMALL, "--partition", "nowhere")
    assert done.returncode == 3
    assert "no such partition" in done.stderr
    assert not (cluster.folder / "submissions.json").exists()


def test_a_second_submission_needs_resume_and_the_same_settings(cluster: Cluster) -> None:
    set_node("drain")
    cluster.submit()
    for options, cause in (((), "was submitted"), (("--resume", *LARGE), "holds results made with")):
        done = cluster.nucseg("submit", METHOD, cluster.images, cluster.out, *SMALL, *options)
        assert done.returncode == 2
        assert cause in done.stderr
    assert len(cluster.jobs) == 1


def test_a_local_run_waits_for_the_cluster_and_goes_on_after_it(cluster: Cluster) -> None:
    set_node("drain")
    cluster.submit()
    words = ("run", METHOD, cluster.images, cluster.out, "--resume", "--device", "cpu", "--engine", "apptainer")
    done = cluster.nucseg(*words)
    assert done.returncode == 2
    assert f"scancel {cluster.jobs[0]}" in done.stderr
    set_node("resume")
    wait_until(lambda: cluster.status()[1].get("done"), "the first image is done")
    slurm("scancel", *cluster.jobs)
    finished = cluster.wait()[1]["done"]
    done = cluster.nucseg(*words)
    assert (done.returncode, f"{3 - finished} done, 0 failed, {finished} done before" in done.stdout) == (0, True)
    # As a launcher leaves it that is killed; the logs stay those of its run.
    folder = OutFolder(cluster.out).method(METHOD)
    folder.status.unlink()
    log = folder.stdout.read_bytes()
    cluster.status()
    assert folder.stdout.read_bytes() == log


def test_a_dry_run_prints_a_script_per_method_and_writes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """Also on a machine without Slurm."""
    methods = ("deepsynth", "stardist3d")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apptainer").symlink_to(str(shutil.which("apptainer")))
    for method in methods:
        (tmp_path / f"{method}_v{__version__}.sif").touch()
    words = ("submit", ",".join(methods), cluster.images, cluster.out, "--dry-run")
    printed = [
        cluster.nucseg(*words, NUCSEG_SIF_DIR=str(tmp_path), **variables).stdout
        for variables in ({}, {"PATH": str(tmp_path / "bin")})
    ]
    assert printed[0] == printed[1]
    assert re.findall("--job-name=nucseg-(.*)", printed[0]) == list(methods)
    assert not cluster.out.exists()


def test_without_slurm_the_status_tells_what_the_files_know(cluster: Cluster, tmp_path: Path) -> None:
    set_node("drain")
    cluster.submit()
    code, counts, _ = cluster.status(PATH=str(tmp_path))
    assert (code, counts) == (3, {"unknown": 3})
