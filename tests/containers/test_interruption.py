"""Runs that are ended from outside: what is finished stays, nothing half-written, and the next run goes on."""

from pathlib import Path

import pytest
from container_harness import DIAMETER, Image, docker, files, nuclei, open_folder, record, write_ome

pytestmark = pytest.mark.needs("docker")


@pytest.fixture(scope="module")
def image(one_image: Image) -> Image:
    """What is tested here is the library's, the same in all images."""
    return one_image


SMALL = (8, 32, 32)


def test_sigterm_in_the_middle_and_resume(image: Image, tmp_path: Path) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    write_ome(data / "a.ome.tif", nuclei(SMALL))
    write_ome(data / "b.ome.tif", nuclei((32, 96, 96)))
    mounts = [f"{data}:/data:ro", f"{out}:/out"]

    name = image.start("--in", "/data", "--out", "/out", *DIAMETER, mounts=mounts)
    image.wait_for(name, "image 2/2")
    docker("stop", "--time", "30", name)
    stopped = image.wait(name)

    assert stopped.code == 143
    assert "--resume goes on" in stopped.err
    assert files(out) == {"a.ome.tif", "nucseg_run.json"}
    assert record(out).keys() == {"a.ome.tif"}

    before = (out / "a.ome.tif").stat().st_mtime_ns
    resumed = image.segment(data, out, *DIAMETER, "--resume")

    assert resumed.code == 0, resumed.out + resumed.err
    assert "a.ome.tif: done by an earlier run" in resumed.out
    assert (out / "a.ome.tif").stat().st_mtime_ns == before
    assert files(out) == {"a.ome.tif", "b.ome.tif", "nucseg_run.json"}
    assert record(out).keys() == {"a.ome.tif", "b.ome.tif"}


def test_the_memory_limit(image: Image, tmp_path: Path) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    write_ome(data / "a.ome.tif", nuclei(SMALL))
    assert image.segment(data, out, *DIAMETER).code == 0
    finished = {name: (out / name).read_bytes() for name in files(out)}
    write_ome(data / "b.ome.tif", nuclei(SMALL))

    # Less than the libraries alone take: the kernel ends the process, which can say nothing any more.
    done = image.segment(data, out, *DIAMETER, "--resume", options=["--memory", "64m", "--memory-swap", "64m"])

    assert done.code == 137
    assert done.out_of_memory
    assert {name: (out / name).read_bytes() for name in files(out)} == finished
