"""Podman and Apptainer through the launcher: Docker's results to the byte, and nothing is left behind."""

import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from container_harness import QUICK, ROOT, Image, SifImage, engine, nuclei, open_folder, write_ome
from launcher_harness import Launcher, read_until

pytestmark = pytest.mark.needs("docker")

METHOD = QUICK
OTHERS = [
    pytest.param("podman", marks=pytest.mark.needs("podman")),
    pytest.param("apptainer", marks=pytest.mark.needs("apptainer")),
]
HOW = ("--device", "cpu", "--set", "nucleus_diameter=10")


@pytest.fixture(scope="module", params=OTHERS)
def image(request: pytest.FixtureRequest, open_image: Callable[[str, str], Image]) -> Image:
    """The image of one method in each of the engines that are not Docker."""
    return open_image(METHOD, request.param)


@pytest.fixture(scope="module")
def nucseg(image: Image) -> Launcher:
    """The launcher, which finds the SIF file where the site says."""
    return Launcher(ROOT, {"NUCSEG_SIF_DIR": str(image.sif.parent)} if isinstance(image, SifImage) else {})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume in a folder whose name would break a mount that is written with colons."""
    folder = tmp_path_factory.mktemp("my images: a, b")
    write_ome(folder / "a $HOME.ome.tif", nuclei((8, 48, 48)))
    return folder


@pytest.fixture(scope="module")
def reference(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What Docker makes of it."""
    out = tmp_path_factory.mktemp("docker")
    done = Launcher(ROOT)("run", METHOD, images, out, "--engine", "docker", *HOW)
    assert done.returncode == 0, done.stderr
    return results(out)


def results(out: Path) -> dict[str, bytes]:
    """Labels, tables and pictures by name."""
    folder = out / "methods" / METHOD
    names = [path for kind in ("labels", "measurements", "overlays") for path in (folder / kind).iterdir()]
    return {path.name: path.read_bytes() for path in names if path.name != "nucseg_run.json"}


def nothing_is_left(image: Image) -> bool:
    """No container, no folder for its /tmp."""
    if image.runtime == "podman":
        return engine("podman", "ps", "--all", "--quiet", "--filter", "label=org.nucseg.run").stdout == ""
    return not list(Path(tempfile.gettempdir()).glob(f"nucseg-{METHOD}-*"))


def test_every_engine_writes_the_same_bytes(nucseg, image, images, reference, tmp_path):
    done = nucseg("run", METHOD, images, tmp_path / "out", "--engine", image.runtime, *HOW)

    assert done.returncode == 0, done.stdout + done.stderr
    assert results(tmp_path / "out") == reference
    assert {Path(name).suffix for name in reference} == {".tif", ".csv", ".json", ".png"}
    folder = tmp_path / "out" / "methods" / METHOD
    assert all(path.stat().st_uid == os.getuid() for path in folder.rglob("*"))
    status = json.loads((folder / "status.json").read_text())
    assert (status["engine"], status["container_exit_code"]) == (image.runtime, 0)
    assert status["peak_memory_bytes"] > 2**27
    facts = json.loads((tmp_path / "out" / "run.json").read_text())["methods"][METHOD]
    assert re.fullmatch("sha256:[0-9a-f]{64}", facts["image_digest" if isinstance(image, SifImage) else "image_id"])
    assert re.search(r"\d+\.\d+", facts["engine_version"])
    assert nothing_is_left(image)


def test_the_printed_lines_do_the_same_without_nucseg(nucseg, image, images, reference, tmp_path):
    printed = nucseg("run", METHOD, images, tmp_path / "out", "--engine", image.runtime, *HOW, "--dry-run")
    assert printed.returncode == 0, printed.stderr

    subprocess.run(["bash", "-c", printed.stdout], check=True, capture_output=True)

    assert results(tmp_path / "out") == reference
    for folder in Path(tempfile.gettempdir()).glob(f"nucseg-{METHOD}-*"):
        subprocess.run(["rm", "-r", folder], check=True)


def test_an_interrupted_run_leaves_nothing(nucseg, image, images, tmp_path):
    process = nucseg.start("run", METHOD, images, tmp_path / "out", "--engine", image.runtime, *HOW)
    read_until(process, "loading the model")
    process.send_signal(signal.SIGTERM)
    _, box = process.communicate(timeout=60)

    assert process.returncode == 143
    assert "--resume" in box
    folder = tmp_path / "out" / "methods" / METHOD
    # The container had the time to say so itself: it was asked to stop, not killed.
    assert "terminated" in (folder / "stderr.log").read_text()
    assert json.loads((folder / "status.json").read_text())["status"] == "interrupted"
    assert nothing_is_left(image)


def test_an_absent_image_is_3_with_a_remedy(image, images, tmp_path):
    bare = Launcher(ROOT, {"NUCSEG_SIF_DIR": str(tmp_path / "sif")})
    weights = tmp_path / "weights"
    weights.mkdir()
    done = bare("run", "cellpose_sam", images, tmp_path / "out", "--engine", image.runtime, "--model", weights)
    assert done.returncode == 3
    assert ("podman load" if image.runtime == "podman" else "nucseg sif cellpose_sam") in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.needs("podman")
def test_podman_s_memory_limit_is_told_as_the_cause(images, tmp_path, open_image):
    open_image(METHOD, "podman")
    words = ("run", METHOD, images, tmp_path / "out", "--engine", "podman", *HOW)
    done = Launcher(ROOT)(*words, "--memory", "60m")
    assert done.returncode == 4
    assert "out of memory: it reached its limit of 60 MB" in done.stderr


@pytest.mark.needs("apptainer")
def test_under_apptainer_nothing_of_the_host_is_seen_or_changed(open_image, tmp_path):
    image = open_image(METHOD, "apptainer")
    code = """
import json, os, pathlib, socket
def fails(action):
    try:
        action()
    except OSError:
        return True
    return False
print(json.dumps({
    "writes": [path for path in ("/opt/x", "/app/x", "/etc/x", "/data/x") if not fails(pathlib.Path(path).touch)],
    "network": not fails(lambda: socket.create_connection(("10.0.0.1", 9), 2)),
    "processes": sum(name.isdigit() for name in os.listdir("/proc")),
    "uid": os.getuid(),
    "tmp": os.listdir("/tmp"),
    "home": pathlib.Path("/home").is_dir() and os.listdir("/home"),
    "capabilities": pathlib.Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0],
}))
"""
    data = open_folder(tmp_path / "data")
    found = json.loads(image.python(code, mounts=[f"{data}:/data:ro"]))
    assert found["writes"] == []
    assert found["network"] is False
    assert found["processes"] < 6
    assert found["uid"] != 0
    assert not found["home"]
    assert int(found["capabilities"], 16) == 0
