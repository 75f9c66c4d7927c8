"""The images as Boutiques and Bilayers start them."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tifffile
from container_harness import METHODS, ROOT, Image, docker, nuclei

from nucseg import __version__

pytestmark = pytest.mark.needs("docker")


@pytest.fixture(params=METHODS)
def bilayers(request: pytest.FixtureRequest) -> Iterator[str]:
    """A method's image for Bilayers; a tag of the tests' own, so that nobody's is taken away."""
    tag = f"nucseg/{request.param}:test-bilayers"
    dockerfile = ROOT / "images" / "bilayers" / "Dockerfile"
    command = ["docker", "build", "--quiet", "--build-arg", f"IMAGE={Image(request.param).tag}", "--tag", tag, "-"]
    with dockerfile.open("rb") as file:
        subprocess.run(command, stdin=file, check=True, capture_output=True)
    yield tag
    docker("image", "rm", tag)


def test_an_interface_of_bilayers_starts_in_the_image_and_finds_the_program(bilayers: str) -> None:
    """Its image adds a Python program as the command, which runs the method in a shell."""
    assert not json.loads(docker("image", "inspect", "--format", "{{json .Config.Entrypoint}}", bilayers).stdout)
    program = "import subprocess; print(subprocess.check_output('nucseg-run --version', shell=True, text=True))"
    method = bilayers.partition("/")[2].partition(":")[0]
    assert docker("run", "--rm", bilayers, "python", "-c", program).stdout.strip() == f"nucseg {method} {__version__}"


@pytest.mark.needs("clients")
def test_bosh_runs_the_image(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a b.tif", nuclei())
    invocation = {"infolder": "in", "outfolder": "out", "nucleus_diameter": 10.0, "use_gpu": "false"}
    (tmp_path / "invocation.json").write_text(json.dumps(invocation), encoding="utf-8")
    command = [ROOT / ".venv-clients/bin/bosh", "exec", "launch", "--user", "--no-pull", "--skip-data-collection"]
    files = [ROOT / "descriptors/boutiques/unet3d.json", "invocation.json"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tifffile.imread(tmp_path / "out" / "a b.tif").max() > 1
