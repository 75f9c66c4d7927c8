"""Bad input: the cause and the remedy in one message, the right exit code, nothing half-written, the others done."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from container_harness import DIAMETER, Finished, Image, docker, files, nuclei, open_folder, record, write_ome

pytestmark = pytest.mark.needs("docker")


@pytest.fixture(scope="module")
def image(one_image: Image) -> Image:
    """What is tested here is the library's, the same in all images."""
    return one_image


GOOD = "good.tif"
SMALL = (8, 32, 32)

# File name: what the message about it must say.
FAILING = {
    "2d.tif": "2D image",
    "rgb.tif": "RGB",
    "channels.ome.tif": "2 channels.*--nuc_channel",
    "5d.ome.tif": "channels.*--nuc_channel",
    "times.ome.tif": "time points.*--time_point",
    "nan.tif": "NaN",
    "one slice.ome.tif": "only one slice",
    "truncated.tif": "truncated|damaged",
    "text.tif": "not a TIFF",
    "empty.tif": "empty",
    "unreadable.tif": "[Pp]ermission",
    "twin.tif": "same name.*twin.ome.tif.*rename",
    "twin.ome.tif": "same name.*twin.tif.*rename",
}
# Odd, but an answer exists.
DONE = (GOOD, "zero.tif", "3x3x3.tif")
# Slices 500 times as far apart as pixels: whether nuclei can be told apart then is the model's to say.
ANISOTROPIC = "anisotropic.ome.tif"


@dataclass(frozen=True)
class Run:
    out: Path
    done: Finished


@pytest.fixture(scope="module")
def run(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One container over a folder with every bad file, and good ones between them."""
    folder = tmp_path_factory.mktemp("bad")
    data, out = open_folder(folder / "data"), open_folder(folder / "out")
    volume = nuclei(SMALL)

    def bare(name: str, array: np.ndarray) -> Path:
        tifffile.imwrite(data / name, array, photometric="minisblack", metadata=None)
        return data / name

    bare(GOOD, volume)
    bare("2d.tif", volume[0])
    tifffile.imwrite(data / "rgb.tif", np.zeros((32, 32, 3), np.uint8), photometric="rgb")
    write_ome(data / "channels.ome.tif", np.stack([volume, volume], axis=1), axes="ZCYX")
    write_ome(data / "5d.ome.tif", np.zeros((2, 4, 2, 32, 32), np.uint16), axes="TZCYX")
    write_ome(data / "times.ome.tif", np.stack([volume, volume]), axes="TZYX")
    bare("nan.tif", np.where(volume > 2000, np.nan, volume).astype(np.float32))
    write_ome(data / "one slice.ome.tif", volume[:1])
    whole = bare("truncated.tif", volume).read_bytes()
    (data / "truncated.tif").write_bytes(whole[: len(whole) // 2])
    (data / "text.tif").write_text("x,y,z\n1,2,3\n", encoding="utf-8")
    (data / "empty.tif").touch()
    bare("unreadable.tif", volume).chmod(0)
    bare("twin.tif", volume)
    write_ome(data / "twin.ome.tif", volume)
    bare("zero.tif", np.zeros(SMALL, np.uint16))
    bare("3x3x3.tif", volume[:3, :3, :3])
    write_ome(data / ANISOTROPIC, volume, voxel_size=(50.0, 0.1, 0.1))
    return Run(out, image.segment(data, out, *DIAMETER))


@pytest.mark.parametrize("name", FAILING)
def test_a_bad_image_fails_with_cause_and_remedy(run: Run, name: str) -> None:
    message = run.done.error_about(name)

    assert re.search(FAILING[name], message), message
    entry = record(run.out)[name]
    assert entry["status"] == "failed"
    assert entry["cause"] in message
    assert entry["hint"] in message
    assert not (run.out / name).exists()


@pytest.mark.parametrize("name", DONE)
def test_the_other_images_are_done(run: Run, name: str) -> None:
    assert record(run.out)[name]["status"] == "done"
    assert tifffile.TiffFile(run.out / name).series[0].axes == "ZYX"


def test_an_image_without_signal_has_no_nuclei(run: Run) -> None:
    assert not tifffile.imread(run.out / "zero.tif").any()


def test_a_bad_image_is_told_by_the_exit_code_and_leaves_nothing(run: Run) -> None:
    assert run.done.code == 1
    assert files(run.out) - {ANISOTROPIC} == {*DONE, "nucseg_run.json"}
    assert "Traceback" not in run.done.err


def test_huge_anisotropy_ends_in_labels_or_in_advice(run: Run) -> None:
    if record(run.out)[ANISOTROPIC]["status"] == "done":
        assert tifffile.imread(run.out / ANISOTROPIC).shape == SMALL
    else:
        assert re.search("diameter|voxel size", run.done.error_about(ANISOTROPIC))
        assert not (run.out / ANISOTROPIC).exists()


def test_where_all_fail_the_output_folder_stays_empty(image: Image, tmp_path: Path) -> None:
    # OMERO's BIOMERO loses the exit code: to it, only an empty folder is a failure.
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    (data / "text.tif").write_text("no image", encoding="utf-8")

    done = image.segment(data, out, *DIAMETER)

    assert done.code == 1
    assert done.error_about("text.tif")
    assert files(out) == set()


@pytest.mark.parametrize(
    ("present", "message"),
    [((), "is empty"), (("a.czi", "b.txt"), "no TIFF or OME-Zarr image in /data, only a.czi, b.txt")],
)
def test_a_folder_without_images(image: Image, tmp_path: Path, present: tuple[str, ...], message: str) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    for name in present:
        (data / name).write_bytes(b"x")

    done = image.segment(data, out, *DIAMETER)

    assert done.code == 2
    assert message in done.fatal
    assert files(out) == set()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--out /out", "--in is missing"),
        ("--in /data", "--out is missing"),
        ("--in /nowhere --out /out", "/nowhere does not exist"),
        ("--in /data --out /out --nucleus_diametre 5", "try: --nucleus_diameter"),
        ("--in /data --out /out --nucleus_diameter small", "nucleus_diameter"),
        ("--in /data --out /out --nucleus_diameter=-3", "nucleus_diameter"),
        ("--in /data --out /data", "/data"),
        ("--in /data --out /out --model /nowhere", "general"),
        ("--in /data --out /out --model /data", "/data"),
    ],
)
def test_usage(image: Image, tmp_path: Path, words: str, message: str) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    write_ome(data / "a.ome.tif", nuclei(SMALL))

    done = image.run(*words.split(), mounts=[f"{data}:/data", f"{out}:/out"])

    assert done.code == 2
    assert message in done.fatal
    assert files(out) == set()
    assert files(data) == {"a.ome.tif"}


def test_a_damaged_model_is_refused(image: Image, tmp_path: Path) -> None:
    data, out, model = (open_folder(tmp_path / name) for name in ("data", "out", "model"))
    write_ome(data / "a.ome.tif", nuclei(SMALL))
    shipped = Path(__file__).resolve().parents[2] / "images" / image.method / "weights" / "general"
    for name in ("model.json", "weights.safetensors"):
        shutil.copy(shipped / name, model / name)
    with (model / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))

    mounts = [f"{data}:/data:ro", f"{out}:/out", f"{model}:/model:ro"]
    done = image.run("--in", "/data", "--out", "/out", "--model", "/model", mounts=mounts)

    assert done.code == 2
    assert "damaged" in done.fatal
    assert files(out) == set()


def test_a_gpu_that_is_asked_for_and_absent(image: Image, tmp_path: Path) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    write_ome(data / "a.ome.tif", nuclei(SMALL))

    done = image.segment(data, out, "--device", "cuda")

    assert done.code == 3
    assert "a GPU was asked for" in done.fatal
    assert "--device cpu" in done.fatal
    assert files(out) == set()


def test_an_output_folder_that_is_read_only_or_another_s(image: Image, tmp_path: Path) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    write_ome(data / "a.ome.tif", nuclei(SMALL))
    words = ("--in", "/data", "--out", "/out")

    read_only = image.run(*words, mounts=[f"{data}:/data:ro", f"{out}:/out:ro"])
    assert read_only.code == 3
    assert "read-only" in read_only.fatal

    out.chmod(0o755)
    other_s = image.run(*words, mounts=[f"{data}:/data:ro", f"{out}:/out"])
    assert other_s.code == 3
    assert "12345 has no permission" in other_s.fatal


@pytest.fixture
def small_disk(image: Image) -> Iterator[tuple[str, str]]:
    """A volume of 1 MiB, and the container that keeps it mounted (its files go with the last user)."""
    volume = docker("volume", "create", "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m,mode=1777")
    name = volume.stdout.strip()
    keeper = image.start(
        "-c", "import time; time.sleep(600)", entrypoint="/opt/nucseg/bin/python", mounts=[f"{name}:/out:nocopy"]
    )
    yield name, keeper
    image.remove(keeper)
    docker("volume", "rm", name)


def fill(keeper: str) -> None:
    """Fill the disk to the last byte."""
    docker("exec", keeper, "sh", "-c", "cat /dev/zero > /out/filler 2>/dev/null; true")


def test_a_disk_that_is_full_from_the_start(image: Image, tmp_path: Path, small_disk: tuple[str, str]) -> None:
    volume, keeper = small_disk
    data = open_folder(tmp_path / "data")
    write_ome(data / "a.ome.tif", nuclei(SMALL))
    fill(keeper)

    done = image.run("--in", "/data", "--out", "/out", mounts=[f"{data}:/data:ro", f"{volume}:/out:nocopy"])

    assert done.code == 3
    assert "disk is full" in done.fatal
    assert docker("exec", keeper, "ls", "-A", "/out").stdout.split() == ["filler"]


def test_a_disk_that_fills_on_the_way(image: Image, tmp_path: Path, small_disk: tuple[str, str]) -> None:
    volume, keeper = small_disk
    data = open_folder(tmp_path / "data")
    write_ome(data / "a.ome.tif", nuclei(SMALL))
    write_ome(data / "b.ome.tif", nuclei((32, 96, 96)))

    name = image.start(
        "--in", "/data", "--out", "/out", *DIAMETER, mounts=[f"{data}:/data:ro", f"{volume}:/out:nocopy"]
    )
    image.wait_for(name, "image 2/2")
    fill(keeper)
    done = image.wait(name)

    assert done.code == 3
    assert "b.ome.tif" in done.out + done.err
    assert "no space left" in done.out + done.err
    assert set(docker("exec", keeper, "ls", "-A", "/out").stdout.split()) == {"a.ome.tif", "filler", "nucseg_run.json"}
