"""The launcher with a real engine: `nucseg run` in containers, and what it leaves when it ends in any way.

Most tests run the small method of tests/methods, in an image over that of a real method.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from container_harness import ONE, ROOT, Image, docker, nuclei, write_ome
from launcher_harness import Launcher, read_until

from nucseg import __version__

pytestmark = pytest.mark.needs("docker")

DOCKERFILE = f"""
FROM nucseg/{ONE}:v{__version__}
COPY images /opt/nucseg/images
ENV NUCSEG_METHOD=threshold
"""


@pytest.fixture(scope="module")
def nucseg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """The launcher, with the image of the test method and the descriptor of one whose image is nowhere."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(ROOT / "tests" / "methods" / "images", root / "images")
    (root / "descriptors").mkdir()
    (root / "Dockerfile").write_text(DOCKERFILE)
    tag = f"nucseg/threshold:v{__version__}"
    # The legacy builder is enough for three lines, and every client has it.
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", tag, root],
        check=True,
        capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    described = docker("run", "--rm", tag, "--describe").stdout
    (root / "descriptors" / "threshold.json").write_text(described, encoding="utf-8")
    (root / "images" / "absent").mkdir()
    (root / "descriptors" / "absent.json").write_text(described.replace("nucseg/threshold", "nucseg/absent"))
    yield Launcher(root)
    docker("rmi", "--force", tag, check=False)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two volumes in a folder with an awkward name; with ``--set fault=slow`` the second takes a minute."""
    folder = tmp_path_factory.mktemp("my images: a, b")
    write_ome(folder / "a.tif", nuclei())
    write_ome(folder / "slow one.tif", nuclei())
    return folder


def containers_of(out: Path) -> list[str]:
    """Names of all containers, running or not, that belong to a run's folder."""
    label = f"label=org.nucseg.out={out / 'methods' / 'threshold'}"
    return docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").stdout.split()


def test_a_run_gives_the_results_of_the_plain_process_and_they_belong_to_the_caller(nucseg, images, tmp_path):
    done = nucseg("run", "threshold", images, tmp_path / "docker", "--set", "sigma=1.5")
    process = nucseg("run", "threshold", images, tmp_path / "process", "--set", "sigma=1.5", "--engine", "process")

    assert (done.returncode, process.returncode) == (0, 0), done.stderr + process.stderr
    folder = tmp_path / "docker" / "methods" / "threshold"
    for path in images.iterdir():
        labels = folder / "labels" / path.name
        assert labels.read_bytes() == (tmp_path / "process/methods/threshold/labels" / path.name).read_bytes()
        assert labels.stat().st_uid == os.getuid()
        assert (folder / "measurements" / f"{path.stem}.csv").is_file()
        assert (folder / "overlays" / f"{path.stem}_xy.png").is_file()
    run = json.loads((tmp_path / "docker" / "run.json").read_text())["methods"]["threshold"]
    built = docker("image", "inspect", "--format", "{{.Id}}", f"nucseg/threshold:v{__version__}").stdout.strip()
    assert run["image_id"] == built
    assert run["engine_version"]
    status = json.loads((folder / "status.json").read_text())
    assert (status["engine"], status["oom_killed"], status["container_exit_code"]) == ("docker", False, 0)
    assert status["peak_memory_bytes"] > 2**20
    assert len((folder / "resources.tsv").read_text().splitlines()) > 1
    assert containers_of(tmp_path / "docker") == []


def normal(value: Any) -> Any:
    """Without what is only another way to say "nothing"."""
    if isinstance(value, dict):
        kept = {key: normal(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", "no", 0, False, [], {})}
    return [normal(item) for item in value] if isinstance(value, list) else value


def facts(name: str) -> dict[str, Any]:
    """What the engine knows of a container, apart from its own bookkeeping."""
    found = json.loads(docker("inspect", name).stdout)[0]
    config = {key: found["Config"][key] for key in ("User", "Cmd", "Image", "Labels", "Env", "Entrypoint", "Tty")}
    # The one removes itself, the other is removed when its state has been read; and only a client has a console.
    host = {key: item for key, item in found["HostConfig"].items() if key not in ("AutoRemove", "ConsoleSize")}
    mounts = sorted(found["Mounts"], key=lambda mount: mount["Destination"])
    return normal({"config": config, "host": host, "mounts": mounts, "image": found["Image"]})


def test_the_printed_line_makes_the_very_container_that_runs(nucseg, images, tmp_path):
    options = ["--gt", images, "--memory", "2g", "--set", "fault=slow"]
    words = ["run", "threshold", images, tmp_path / "out, of: it", *options]
    process = nucseg.start(*words)
    lines = read_until(process, "begins")
    printed = next(line for line in lines if line.startswith("docker run "))
    line = shlex.split(printed)
    assert line[:3] == ["docker", "run", "--rm"]
    name = line[line.index("--name") + 1]
    twin = f"{name}-twin"
    line[line.index("--name") + 1] = twin
    docker("create", *line[3:])
    try:
        ours, printed_one = facts(name), facts(twin)
    finally:
        docker("rm", twin)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert ours == printed_one
    assert ours["host"]["ReadonlyRootfs"] is True
    assert ours["host"]["Init"] is True
    assert ours["host"]["NetworkMode"] == "none"
    assert ours["host"]["CapDrop"] == ["ALL"]
    assert ours["host"]["Memory"] == 2 * 2**30
    assert {mount["Destination"]: mount.get("RW", False) for mount in ours["mounts"]} == {
        "/data": False,
        "/gt": False,
        "/out": True,
    }
    assert process.returncode == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_no_container_and_keeps_what_is_done(nucseg, images, tmp_path, number, code):
    process = nucseg.start("run", "threshold", images, tmp_path / "out", "--set", "fault=slow")
    read_until(process, "slow one.tif: waiting")
    process.send_signal(number)
    _, box = process.communicate(timeout=60)

    assert process.returncode == code
    assert "--resume" in box
    assert containers_of(tmp_path / "out") == []
    folder = tmp_path / "out" / "methods" / "threshold"
    assert (folder / "labels" / "a.tif").is_file()
    assert list(folder.rglob("*.part")) == []
    # The container had the time to say so itself: it was asked to stop, not killed.
    assert "terminated" in (folder / "stderr.log").read_text()
    assert json.loads((folder / "status.json").read_text())["status"] == "interrupted"


def test_a_killed_launcher_s_run_is_resumed_and_its_container_replaced(nucseg, images, tmp_path):
    words = ["run", "threshold", images, tmp_path / "out", "--set", "fault=slow"]
    killed = nucseg.start(*words)
    read_until(killed, "slow one.tif: waiting")
    killed.kill()
    killed.communicate()
    left = containers_of(tmp_path / "out")
    labels = tmp_path / "out" / "methods" / "threshold" / "labels" / "a.tif"
    written = labels.stat().st_mtime_ns

    again = nucseg.start(*words, "--resume")
    lines = read_until(again, "slow one.tif: waiting")
    present = containers_of(tmp_path / "out")
    docker("kill", *present)
    _, box = again.communicate(timeout=60)

    assert len(left) == len(present) == 1
    assert left != present
    assert any(f"removing {left[0]}" in line for line in lines)
    assert any("a.tif: done by an earlier run" in line for line in lines)
    assert labels.stat().st_mtime_ns == written
    # This container was killed too, from outside.
    assert again.returncode == 4
    assert "SIGKILL" in box
    assert "1 image finished before and kept, 1 not done" in box
    assert containers_of(tmp_path / "out") == []


def test_a_memory_limit_that_is_reached_is_4_and_the_cause_is_told(nucseg, images, tmp_path):
    done = nucseg("run", "threshold", images, tmp_path / "out", "--memory", "40m")
    assert done.returncode == 4
    assert "out of memory: it reached its limit of 40 MB" in done.stderr
    assert "--memory" in done.stderr
    status = json.loads((tmp_path / "out/methods/threshold/status.json").read_text())
    assert (status["container_exit_code"], status["oom_killed"]) == (137, True)
    assert containers_of(tmp_path / "out") == []


def test_an_absent_image_is_3_and_both_ways_to_get_it_are_named(nucseg, images, tmp_path):
    done = nucseg("run", "absent", images, tmp_path / "out")
    assert done.returncode == 3
    assert f"nucseg/absent:v{__version__} is not on this machine" in done.stderr
    assert "nucseg build absent" in done.stderr
    assert "nucseg pull absent" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_image_that_cannot_be_pulled_is_3_with_cause_and_remedy(nucseg):
    done = nucseg("pull", "absent")
    assert done.returncode == 3
    assert "nucseg/absent" in done.stderr
    assert "nucseg build absent" in done.stderr


def test_cuda_without_a_gpu_runtime_is_3(nucseg, images, tmp_path):
    if "nvidia" in docker("info", "--format", "{{json .Runtimes}}").stdout:
        pytest.skip("this engine has the NVIDIA runtime")
    done = nucseg("run", "threshold", images, tmp_path / "out", "--device", "cuda")
    assert done.returncode == 3
    assert "no NVIDIA runtime" in done.stderr


def test_doctor_tries_the_images_in_containers(nucseg):
    done = nucseg("doctor")
    assert f"nucseg/threshold:v{__version__} works on" in done.stdout
    assert f"nucseg/absent:v{__version__} is not here" in done.stdout
    assert docker("ps", "--all", "--quiet", "--filter", "label=org.nucseg.run=doctor").stdout == ""


def test_training_in_a_container_makes_a_model_that_a_run_takes(nucseg, images, tmp_path):
    labelled = nucseg("run", "threshold", images, tmp_path / "first")
    assert labelled.returncode == 0, labelled.stderr
    labels = tmp_path / "first" / "methods" / "threshold" / "labels"
    trained = nucseg("train", "threshold", images, tmp_path / "trained", "--gt", labels, "--set", "largest=1.0")
    assert trained.returncode == 0, trained.stderr
    done = nucseg("run", "threshold", images, tmp_path / "out", "--model", tmp_path / "trained" / "model")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out/methods/threshold/labels/nucseg_run.json").read_text())
    assert record["model"]["name"] == "trained"


def test_every_method_runs_through_the_launcher(image: Image, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    write_ome(folder / "nuclei.ome.tif", nuclei())
    done = Launcher(ROOT)("run", image.method, folder, tmp_path / "out", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "methods" / image.method / "labels" / "nuclei.ome.tif").is_file()
