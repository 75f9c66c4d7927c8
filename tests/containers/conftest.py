"""The engine and the images; what the tests do with them is in container_harness."""

import os
from collections.abc import Iterator

import pytest
from container_harness import METHODS, ONE, SHIPPED, Image, docker


@pytest.fixture(scope="session")
def engine() -> None:
    """A container engine; without one the tests are left out, or fail where the run requires one."""
    if docker("version", check=False).returncode:
        if os.environ.get("CI") or os.environ.get("NUCSEG_REQUIRE_ENGINE"):
            pytest.fail("no container engine answers, and this run requires one")
        pytest.skip("no container engine answers")


def _image(method: str) -> Iterator[Image]:
    image = Image(method)
    if docker("image", "inspect", image.tag, check=False).returncode:
        pytest.fail(f"{image.tag} is not built. Try: make images VARIANT=cpu")
    yield image
    for name in list(image.containers):
        image.remove(name)


@pytest.fixture(scope="session", params=SHIPPED)
def image(request: pytest.FixtureRequest, engine: None) -> Iterator[Image]:
    """The image of each method that ships weights; what a failed test leaves running is removed."""
    yield from _image(request.param)


@pytest.fixture(scope="session", params=METHODS)
def any_image(request: pytest.FixtureRequest, engine: None) -> Iterator[Image]:
    """Each method's image, also of those whose weights the user brings."""
    yield from _image(request.param)


@pytest.fixture(scope="session")
def one_image(engine: None) -> Iterator[Image]:
    """The image of one method, for what all have from the library."""
    yield from _image(ONE)
