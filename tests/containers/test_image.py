"""What an image promises before it has seen any data."""

import json
import re
import time

import pytest
from container_harness import ROOT, SHIPPED, Image, docker

from nucseg import __version__

pytestmark = pytest.mark.needs("docker")


@pytest.fixture(scope="module")
def image(any_image: Image) -> Image:
    """Every image makes these promises, with weights or without."""
    return any_image


INSTALLED = """
import importlib.metadata, json, re
names = {re.sub("[-_.]+", "-", d.metadata["Name"]).lower(): d.version for d in importlib.metadata.distributions()}
print(json.dumps(names))
"""


def locked(variant: str, method: str) -> dict[str, str]:
    """The locks of a method's image: normalised name to version."""
    texts = [ROOT / "constraints.lock", ROOT / "images" / "base" / f"torch-{variant}.lock"]
    texts.append(ROOT / "images" / method / "requirements.txt")
    rows = [
        row
        for text in texts
        if text.exists()
        for row in re.findall(r"^([\w.-]+)==(\S+)$", text.read_text(encoding="utf-8"), re.M)
    ]
    return {re.sub("[-_.]+", "-", name).lower(): version for name, version in rows}


def test_every_installed_package_is_the_locked_one(image: Image) -> None:
    variant = image.config["Labels"]["org.nucseg.variant"]
    lock = locked(variant, image.method) | {"nucseg": __version__}
    installed = json.loads(image.python(INSTALLED))

    # "2.13.0+cpu" is a build of 2.13.0.
    assert {name: version.split("+")[0] for name, version in installed.items()} == {n: lock.get(n) for n in installed}
    assert "torch" in installed
    assert not {"tensorflow", "keras"} & installed.keys()
    # 0.9 GB for torch.compile, which no method uses.
    assert image.python("from importlib.util import find_spec; print(find_spec('triton'))") == "None\n"


def test_torch_is_the_variant_that_the_label_says(image: Image) -> None:
    built = image.python("import torch; print('cuda' if torch.version.cuda else 'cpu')").strip()

    assert built == image.config["Labels"]["org.nucseg.variant"]


def test_labels_say_what_the_image_is(image: Image) -> None:
    labels = image.config["Labels"]

    assert labels["org.opencontainers.image.title"] == f"nucseg {image.method}"
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "BSD-3-Clause"
    assert labels["org.opencontainers.image.source"].startswith("https://")
    assert labels["org.opencontainers.image.revision"]
    assert labels["org.nucseg.method"] == image.method


def test_the_descriptor_is_git_s_wherever_it_is_read(image: Image) -> None:
    committed = json.loads((ROOT / "descriptors" / f"{image.method}.json").read_text(encoding="utf-8"))

    assert json.loads(image.config["Labels"]["org.nucseg.descriptor"]) == committed
    assert json.loads(image.python("print(open('/app/descriptor.json', encoding='utf-8').read())")) == committed
    assert json.loads(image.run("--describe").out) == committed


def test_nothing_depends_on_where_or_as_whom_it_runs(image: Image) -> None:
    config = image.config

    assert config["Entrypoint"] == ["/opt/nucseg/bin/nucseg-run"]
    # Apptainer runs CMD's first word as a program, ignores USER and WORKDIR; a batch job has no health.
    assert not config.get("Cmd")
    assert not config.get("User")
    assert not config.get("WorkingDir")
    assert not config.get("Healthcheck")
    assert not config.get("Volumes")


def test_environment(image: Image) -> None:
    environment = dict(row.split("=", 1) for row in image.config["Env"])

    assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert environment["PYTHONNOUSERSITE"] == "1"
    for name in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCH_HOME"):
        assert environment[name].startswith("/tmp/")
    # Under Apptainer the image's value would win over the caller's.
    assert not {"OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"} & environment.keys()


def test_a_stranger_can_read_everything_and_write_nothing(image: Image) -> None:
    found = image.run("/opt/nucseg", "/app", "(", "!", "-readable", "-o", "-perm", "-o+w", "!", "-type", "l", ")",
                      entrypoint="/usr/bin/find")  # fmt: skip
    assert (found.code, found.out) == (0, "")

    mount_points = image.run("/data", "/out", "/gt", "/model", "-maxdepth", "0", entrypoint="/usr/bin/find")
    assert mount_points.out.split() == ["/data", "/out", "/gt", "/model"]
    # Apptainer mounts the host's /tmp over the image's.
    assert image.run("/tmp", "-mindepth", "1", entrypoint="/usr/bin/find").out == ""


def test_the_build_leaves_no_trace_of_the_host(image: Image) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image.tag).stdout

    assert not re.search(r"cert\s*=|index-url|find-links\s*=|proxy", history, re.I)
    left = image.run("/etc/pip.conf", "/run/secrets", "/root/.cache", "-type", "f", entrypoint="/usr/bin/find")
    assert left.out == ""


def test_version_is_instant_and_help_imports_no_torch(image: Image) -> None:
    code = """
import subprocess, time
def once():
    start = time.perf_counter()
    subprocess.run(["/opt/nucseg/bin/nucseg-run", "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
print(min(once() for _ in range(5)))
"""
    assert float(image.python(code)) < 0.3

    heavy = "print(sorted({'torch', 'skimage', 'stardist', 'openvino'} & set(sys.modules)))"
    usage = image.python(f"import sys, nucseg.app; nucseg.app.main(['--help']); {heavy}")
    assert usage.splitlines()[-1] == "[]"


def test_version_help_and_check(image: Image) -> None:
    version = image.run("--version")
    assert version.code == 0
    assert __version__ in version.out
    assert image.method in version.out

    usage = image.run("--help")
    assert usage.code == 0
    committed = json.loads((ROOT / "descriptors" / f"{image.method}.json").read_text(encoding="utf-8"))
    for entry in committed["inputs"]:
        assert entry["set-by-server"] or f"--{entry['id']}" in usage.out

    check = image.run("--check", "--nucleus_diameter", "16")
    assert check.code == 0, check.err
    assert ("no model was tried" in check.out) == (image.method not in SHIPPED)


def test_a_stopped_container_ends_soon(one_image: Image) -> None:
    image = one_image
    # Python as a container's first process does not even notice SIGTERM unless it listens.
    name = image.start("--check", "--nucleus_diameter", "16")
    image.wait_for(name, "device:")
    start = time.monotonic()
    docker("stop", "--time", "60", name)

    assert time.monotonic() - start < 10
    assert image.wait(name).code == 143
