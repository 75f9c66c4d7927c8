"""The words that really arrive under Apptainer: BIOMERO's job, a BIAFLOWS server's line, people's short form.

As on a cluster: an ordinary user without a home, paths relative to the current folder, the machine's own /tmp.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from container_harness import (
    CONVERTED,
    DIAMETER,
    NOBODY,
    ONE,
    ROOT,
    Finished,
    SifImage,
    as_nobody,
    files,
    nuclei,
    open_folder,
    record,
    write_ome,
)

from nucseg import __version__

pytestmark = [pytest.mark.needs("docker", "apptainer")]

NAME = "a [1] (µm).0.tif"
"""As BIOMERO calls what it has taken out of OMERO."""

DATA = "my-scratch/data/job/data"
IMAGES = "my-scratch/singularity_images/workflows"


@pytest.fixture(scope="module", params=CONVERTED)
def image(request, open_image) -> SifImage:
    return open_image(request.param, "apptainer")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder in which a job begins: the images in data/in, an empty data/gt."""
    for name in ("in", "gt", "out"):
        open_folder(tmp_path / DATA / name)
    write_ome(tmp_path / DATA / "in" / NAME, nuclei((8, 48, 48)))
    tmp_path.chmod(0o777)
    return tmp_path


def descriptor(method: str) -> dict:
    return json.loads((ROOT / "descriptors" / f"{method}.json").read_text(encoding="utf-8"))


def run_as_is(image: SifImage, folder: Path, *words: str) -> Finished:
    """``singularity run``, with nothing between the program and the image, as servers call it."""
    done = as_nobody("singularity", "run", image.sif, *words, folder=folder)
    return Finished(done.returncode, done.stdout, done.stderr, out_of_memory=False)


@pytest.mark.needs("clients")
@pytest.mark.parametrize("cleared", [False, True], ids=["filled in", "cleared"])
def test_biomero_s_own_job(image: SifImage, folder: Path, cleared: bool) -> None:
    sif = folder / IMAGES / image.method / f"{image.method}_v{__version__}.sif"
    sif.parent.mkdir(parents=True)
    sif.symlink_to(image.sif)
    names = [entry["id"] for entry in descriptor(image.method)["inputs"] if not entry["set-by-server"]]
    # A field that was cleared arrives as the word None. The diameter stays: measuring it takes its time.
    values = [f"{name}=null" for name in names if name != "nucleus_diameter"] if cleared else []
    job = make_job(image.method, folder / "scripts", "nucleus_diameter=10.0", *values)
    exports = job["submission"].partition(" && ")[0]

    done = as_nobody("bash", "-c", f"{exports}; bash {job['job']}", folder=folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Job completed successfully." in done.stdout
    assert files(folder / DATA / "out") == {NAME, "nucseg_run.json"}
    entry = record(folder / DATA / "out")[NAME]
    assert entry["status"] == "done"
    assert entry["nuclei"] > 0
    assert "scores" not in entry
    # BIOMERO shows the last percentage of the log.
    assert "100%" in done.stdout


def make_job(method: str, scripts: Path, *values: str) -> dict:
    """The job script, by the package `biomero` from our descriptor."""
    python = ROOT / ".venv-clients" / "bin" / "python"
    program = ROOT / "tests" / "interoperability" / "clients" / "biomero_job.py"
    command = [python, program, f"descriptors/{method}.json", scripts, "--version", f"v{__version__}", *values]
    # Our own packages must not be found in place of theirs.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_biaflows_server_s_line(image: SifImage, folder: Path) -> None:
    # Its keys are replaced by "flag value" where the user has given one, and stay where not.
    line = descriptor(image.method)["command-line"].replace("[NUCLEUS_DIAMETER]", "--nucleus_diameter 10")
    line = line.replace("[CYTOMINE_HOST]", "--cytomine_host http://localhost")
    words = [*line.split(), "--infolder", f"{DATA}/in", "--outfolder", f"{DATA}/out", "--local", "-nmc"]
    assert words[:3] == ["python", "wrapper.py", "--cytomine_host"]

    done = run_as_is(image, folder, *words)

    assert done.code == 0, done.out + done.err
    assert record(folder / DATA / "out")[NAME]["nuclei"] > 0
    assert any("[TIME_POINT]" in line for line in done.out.splitlines() if line.startswith("warning: "))


def test_local_mode_with_ground_truth(image: SifImage, folder: Path) -> None:
    write_ome(folder / DATA / "gt" / NAME, (nuclei((8, 48, 48)) > 1000).astype("uint16"))
    words = ["--infolder", f"{DATA}/in", "--outfolder", f"{DATA}/out", "--gtfolder", f"{DATA}/gt", "--local"]

    done = run_as_is(image, folder, *words, *DIAMETER)

    assert done.code == 0, done.out + done.err
    assert record(folder / DATA / "out")[NAME]["scores"]


def test_the_short_form(image: SifImage, folder: Path) -> None:
    words = ("--bind", f"{DATA}/in:/data", "--bind", f"{DATA}/out:/out", image.sif, "--in", "/data", "--out", "/out")

    done = as_nobody("singularity", "run", *words, *DIAMETER, folder=folder)

    assert done.returncode == 0, done.stdout + done.stderr
    assert files(folder / DATA / "out") == {NAME, "nucseg_run.json"}


@pytest.mark.skipif(not NOBODY, reason="only root can leave a folder that is another user's")
def test_a_cache_that_another_user_left_in_tmp_is_not_used(open_image, folder: Path) -> None:
    image = open_image(ONE, "apptainer")
    foreign = open_folder(folder / "tmp" / "nucseg-cache" / "numba")
    for path in (foreign, foreign.parent, foreign.parent.parent):
        path.chmod(0o777)
    words = ["--infolder", f"{DATA}/in", "--outfolder", f"{DATA}/out", "--local", "-nmc", *DIAMETER]

    done = as_nobody("singularity", "run", "--bind", f"{folder / 'tmp'}:/tmp", image.sif, *words, folder=folder)

    assert done.returncode == 0, done.stdout + done.stderr
    # Numba runs what it finds there.
    assert files(foreign) == set()
