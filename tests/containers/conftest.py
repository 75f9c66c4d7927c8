"""The images; what the tests do with them is in container_harness."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container_harness import METHODS, ONE, SHIPPED, Image, SifImage, docker, engine, make_sif, open_folder

RUNS = [
    *(pytest.param((method, "docker"), id=f"{method}-docker") for method in SHIPPED),
    *(pytest.param((ONE, name), id=f"{ONE}-{name}", marks=pytest.mark.needs(name)) for name in ("apptainer", "podman")),
]
"""Every method under Docker, one under each other engine; what callers send to Apptainer is tried with more."""


@pytest.fixture(scope="session")
def open_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Image]]:
    """``open_image(method, runtime)``; what a failed test leaves running is removed at the end."""
    opened: list[Image] = []

    def open_(method: str, runtime: str) -> Image:
        image = Image(method, runtime)
        if docker("image", "inspect", image.tag, check=False).returncode:
            pytest.fail(f"{image.tag} is not built. Try: make images VARIANT=cpu")
        if runtime == "podman":
            engine("podman", "pull", "--quiet", f"docker-daemon:{image.tag}")
        if runtime == "apptainer":
            folder = open_folder(tmp_path_factory.mktemp("sif") / method)
            # The repository may lie where nobody else can read it.
            sif = _place(make_sif(method), folder)
            image = SifImage(method, sif=sif, scratch=open_folder(folder / "scratch"))
        opened.append(image)
        return image

    yield open_
    for image in opened:
        for name in list(image.containers):
            image.remove(name)


def _place(sif: Path, folder: Path) -> Path:
    target = folder / sif.name
    try:
        target.hardlink_to(sif)
    except OSError:
        shutil.copyfile(sif, target)
    target.chmod(0o755)
    return target


@pytest.fixture(scope="session", params=RUNS)
def run_image(request: pytest.FixtureRequest, open_image: Callable[[str, str], Image]) -> Image:
    """The image of each method that ships weights, under each engine."""
    return open_image(*request.param)


@pytest.fixture(scope="session", params=SHIPPED)
def image(request: pytest.FixtureRequest, open_image: Callable[[str, str], Image]) -> Image:
    """The image of each method that ships weights."""
    return open_image(request.param, "docker")


@pytest.fixture(scope="session", params=METHODS)
def any_image(request: pytest.FixtureRequest, open_image: Callable[[str, str], Image]) -> Image:
    """Each method's image, also of those whose weights the user brings."""
    return open_image(request.param, "docker")


@pytest.fixture(scope="session")
def one_image(open_image: Callable[[str, str], Image]) -> Image:
    """The image of one method, for what all have from the library."""
    return open_image(ONE, "docker")
