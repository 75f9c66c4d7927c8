"""The images; what the tests do with them is in container_harness."""

from collections.abc import Iterator

import pytest
from container_harness import METHODS, ONE, SHIPPED, Image, docker


def _image(method: str) -> Iterator[Image]:
    image = Image(method)
    if docker("image", "inspect", image.tag, check=False).returncode:
        pytest.fail(f"{image.tag} is not built. Try: make images VARIANT=cpu")
    yield image
    for name in list(image.containers):
        image.remove(name)


@pytest.fixture(scope="session", params=SHIPPED)
def image(request: pytest.FixtureRequest) -> Iterator[Image]:
    """The image of each method that ships weights; what a failed test leaves running is removed."""
    yield from _image(request.param)


@pytest.fixture(scope="session", params=METHODS)
def any_image(request: pytest.FixtureRequest) -> Iterator[Image]:
    """Each method's image, also of those whose weights the user brings."""
    yield from _image(request.param)


@pytest.fixture(scope="session")
def one_image() -> Iterator[Image]:
    """The image of one method, for what all have from the library."""
    yield from _image(ONE)
