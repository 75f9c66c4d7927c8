"""The launcher as a user starts it: a process of its own, with the small method of tests/methods."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from launcher_harness import HERE, METHODS, SOURCES, Launcher

from nucseg.formats import list_images, read_labels, write_labels


class Alone(Launcher):
    """One that reaches no engine."""

    MOST_SECONDS = 120

    def environment(self) -> dict[str, str]:
        alone = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "OMP_NUM_THREADS": "1"}
        return {**super().environment(), **alone, **self.variables}


def make_root(folder: Path) -> Path:
    """A root with the test method and its descriptor, as a repository has them."""
    (folder / "descriptors").mkdir(parents=True)
    (folder / "images").symlink_to(METHODS)
    variables = {**os.environ, "PYTHONPATH": SOURCES, "NUCSEG_ROOT": str(folder), "NUCSEG_METHOD": "threshold"}
    command = [sys.executable, "-m", "nucseg.app", "--describe"]
    described = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    (folder / "descriptors" / "threshold.json").write_text(described.stdout, encoding="utf-8")
    return folder


def copy_method(root: Path, name: str) -> None:
    """Put the test method into a root of `make_root` once more, under another name."""
    methods = root / "images"
    if methods.is_symlink():
        methods.unlink()
        shutil.copytree(METHODS, methods)
    shutil.copytree(methods / "threshold", methods / name)
    for file in (methods / name / "method.py", methods / name / "weights" / "general" / "model.json"):
        file.write_text(file.read_text().replace('"threshold"', f'"{name}"'))
    described = (root / "descriptors" / "threshold.json").read_text().replace("threshold", name)
    (root / "descriptors" / f"{name}.json").write_text(described)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("launcher") / "root")


@pytest.fixture(scope="session")
def nucseg(root: Path) -> Launcher:
    return Alone(root)


@pytest.fixture(scope="session")
def two_methods(tmp_path_factory: pytest.TempPathFactory) -> Launcher:
    """The launcher where there are two methods, `threshold` and `second`."""
    root = make_root(tmp_path_factory.mktemp("two methods") / "root")
    copy_method(root, "second")
    return Alone(root)


def write_volume(path: Path, centres: int = 2) -> None:
    """A bright ball per centre, along X, on a dark background; OME-TIFF, ZYX, 0.5 µm."""
    z, y, x = np.indices((12, 16, 16 * centres))
    data = np.full(z.shape, 10, np.uint16)
    for index in range(centres):
        data[(z - 6) ** 2 + (y - 8) ** 2 + (x - 8 - 16 * index) ** 2 < 16] = 1000
    sizes = {f"PhysicalSize{axis}": 0.5 for axis in "ZYX"}
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata={"axes": "ZYX", **sizes})


@pytest.fixture(scope="session")
def two_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two volumes; the second one's name is awkward."""
    folder = tmp_path_factory.mktemp("images")
    write_volume(folder / "a.tif", 2)
    write_volume(folder / "b, second (µm).tif", 3)
    return folder


@pytest.fixture(scope="session")
def truth(two_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ground truth of `two_images`."""
    from scipy import ndimage

    folder = tmp_path_factory.mktemp("truth")
    for path in list_images(two_images):
        write_labels(
            folder / path.name, ndimage.label(tifffile.imread(path) > 100)[0].astype(np.uint16), (0.5, 0.5, 0.5)
        )
    return folder


@dataclass(frozen=True)
class Run:
    """A finished run of the test method."""

    out: Path
    result: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> Path:
        return self.out / "methods" / "threshold"


@pytest.fixture(scope="session")
def finished(nucseg: Launcher, two_images: Path, truth: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`nucseg run` on two images with ground truth; tests may look at it and resume it, not change it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    return Run(
        out,
        nucseg(
            "run",
            "threshold",
            two_images,
            out,
            "--gt",
            truth,
            *HERE,
            "--set",
            "sigma=0.5",
        ),
    )


@pytest.fixture(scope="session")
def others(truth: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Label images of other programs: one that is right, one that misses a nucleus, one that merges two."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("right", "misses", "merges")}
    for path in list_images(truth):
        labels = read_labels(path)
        write_labels(folders["right"] / path.name, labels, (0.5, 0.5, 0.5))
        write_labels(folders["misses"] / path.name, np.where(labels == labels.max(), 0, labels), (0.5, 0.5, 0.5))
        tifffile.imwrite(folders["merges"] / path.name, np.minimum(labels, 1).astype(np.float32))
    return folders


@pytest.fixture(scope="session")
def compared(
    nucseg: Launcher, two_images: Path, truth: Path, others: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder and the end of `nucseg compare` of `others` and the test method; tests may look at it and copy it."""
    out = tmp_path_factory.mktemp("compared") / "out"
    also = [word for name, folder in others.items() for word in ("--also", f"{name}={folder}")]
    return out, nucseg("compare", "threshold", two_images, out, "--gt", truth, *also, *HERE, "--set", "sigma=0.5")


@pytest.fixture
def slow_images(tmp_path: Path) -> Path:
    """Two volumes; with ``--set fault=slow`` the second takes a minute."""
    folder = tmp_path / "slow images"
    folder.mkdir()
    write_volume(folder / "a.tif")
    write_volume(folder / "slow.tif")
    return folder
