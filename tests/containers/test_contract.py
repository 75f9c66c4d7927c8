"""What a container does with good images, said in all the ways that people and servers say it."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from app_harness import write_zarr
from container_harness import Finished, Image, files, nuclei, open_folder, record, write_ome

pytestmark = pytest.mark.needs("docker")


@pytest.fixture(scope="module")
def image(run_image: Image) -> Image:
    """The contract holds under every engine."""
    return run_image


OME = "embryo 3 (left) [a].ome.tif"
IMAGEJ = "ядро 细胞核 µ.tif"
BARE = "bare.TIFF"
NAMES = {OME, IMAGEJ, BARE}
ZARR, ZARR_LABELS = "x.lif [2].zarr", "x.lif [2].tif"


@dataclass(frozen=True)
class Run:
    """The same images segmented by two callers."""

    data: Path
    out: Path
    done: Finished
    biaflows_out: Path
    biaflows: Finished


@pytest.fixture(scope="module")
def run(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("contract")
    data, gt, out, biaflows_out = (open_folder(folder / name) for name in ("data", "gt", "out", "biaflows"))
    volume = nuclei()
    write_ome(data / OME, volume, voxel_size=(1.2, 1.0, 1.0))
    resolution = {"resolution": (0.8, 0.8), "metadata": {"spacing": 1.25, "unit": "um", "axes": "ZYX"}}
    tifffile.imwrite(data / IMAGEJ, volume[:16, :48, :48], imagej=True, **resolution)
    tifffile.imwrite(data / BARE, volume[:16, :48, :48].astype(np.float32), metadata=None)
    write_zarr(data / ZARR, volume[None, :16, :48, :48], scale=(1.25, 1.25, 1.25), zarr_format=3)
    tifffile.imwrite(gt / BARE, (volume[:16, :48, :48] > 1000).astype(np.uint8), metadata=None)
    # What macOS, editors and people leave in a folder.
    (data / f"._{OME}").write_bytes(b"\0\5\26\7")
    (data / ".hidden.tif").write_bytes(b"no image")
    (data / "notes.txt").write_text("day 3", encoding="utf-8")
    # What a run that was killed leaves behind.
    (out / f".{OME}.part").write_bytes(b"half")
    (out / f".{OME}.part").chmod(0o666)

    done = image.segment(data, out, "--nucleus_diameter", "10", "--model=None", "--use_gpu", "", "--exact=false")
    words = "python wrapper.py --cytomine_host None --infolder=/data --outfolder /biaflows --gtfolder /gt --local"
    words += " --nucleus_diameter=10.0 --exact No --nuc_channel=None [TIME_POINT]"
    mounts = [f"{data}:/data:ro", f"{biaflows_out}:/biaflows", f"{gt}:/gt:ro"]
    return Run(data, out, done, biaflows_out, image.run(*words.split(), mounts=mounts))


def test_one_output_for_each_input_with_its_exact_name(run: Run) -> None:
    assert run.done.code == 0, run.done.out + run.done.err
    assert files(run.out) == NAMES | {ZARR_LABELS, "nucseg_run.json"}
    assert "notes.txt" in run.done.out
    assert ".hidden" not in run.done.out


def test_labels_are_what_every_consumer_reads(run: Run) -> None:
    for name in NAMES:
        with tifffile.TiffFile(run.out / name) as tif:
            series, page = tif.series[0], tif.pages[0]
            labels = tif.asarray()
            assert tif.is_ome
            assert series.axes == "ZYX"
            assert series.dtype == np.uint16
            assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
            assert not page.is_tiled
        assert labels.shape == tifffile.imread(run.data / name).shape
        # Consecutive, 0 for the background.
        assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
        assert labels.max() == record(run.out)[name]["nuclei"]


def test_an_ome_zarr_folder_is_an_image_like_any_other(run: Run) -> None:
    assert (run.out / ZARR_LABELS).read_bytes() == (run.out / IMAGEJ).read_bytes()
    assert record(run.out)[ZARR]["voxel_size_um"] == [1.25, 1.25, 1.25]


def test_nuclei_are_found(run: Run) -> None:
    # Two layers of 4 x 4 balls (the third layer is cut by the border), each of some 600 voxels.
    assert 20 <= record(run.out)[OME]["nuclei"] <= 60


def test_the_voxel_size_is_kept_and_none_is_made_up(run: Run) -> None:
    def sizes(name: str) -> list[str]:
        with tifffile.TiffFile(run.out / name) as tif:
            assert tif.ome_metadata
            return re.findall(r'PhysicalSize([ZYX])="([\d.]+)"', tif.ome_metadata)

    assert dict(sizes(OME)) == {"Z": "1.2", "Y": "1.0", "X": "1.0"}
    assert dict(sizes(IMAGEJ)) == {"Z": "1.25", "Y": "1.25", "X": "1.25"}
    assert sizes(BARE) == []


def test_a_server_s_words_mean_the_same_to_the_byte(run: Run) -> None:
    assert run.biaflows.code == 0, run.biaflows.out + run.biaflows.err
    for name in NAMES:
        ours, theirs = ((folder / name).read_bytes() for folder in (run.out, run.biaflows_out))
        assert hashlib.sha256(ours).digest() == hashlib.sha256(theirs).digest()
    warnings = [line for line in run.biaflows.out.splitlines() if line.startswith("warning: ")]
    assert any("python wrapper.py" in line for line in warnings)
    assert any("[TIME_POINT]" in line for line in warnings)


def test_ground_truth_adds_scores(run: Run) -> None:
    entries = record(run.biaflows_out)

    assert {name for name, entry in entries.items() if "scores" in entry} == {BARE}
    assert entries[BARE]["scores"][0]["threshold"] == 0.5
    assert f"scores {BARE}: " in run.biaflows.out
    assert f"\n> {BARE}: [DC:" in run.biaflows.out
    assert set(entries[BARE]["biaflows"]) == {"DC", "AHD", "FOVL", "mAP"}


def test_progress_rises_to_100_percent(run: Run) -> None:
    percents = [int(n) for n in re.findall(r"^ *(\d+)% ", run.done.out, re.M)]

    assert len(percents) >= 2 * len(NAMES)
    assert percents == sorted(percents)
    assert percents[-1] == 100
    # BIOMERO takes these words for the data folder that it removes.
    assert not re.search(r"Running .* Job w/", run.done.out)


def test_channel_time_point_and_voxel_size_are_chosen(image: Image, tmp_path: Path) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    volume = nuclei((16, 48, 48))
    stack = np.zeros((2, 16, 3, 48, 48), np.uint16)
    stack[1, :, 2] = volume
    write_ome(data / "5d.ome.tif", stack, axes="TZCYX")
    words = "--nuc_channel 2 --time_point=1 --voxel_size_z 0.3 --voxel_size_y=0.25 --voxel_size_x 0.25"
    extras = ("--measurements", "/out/tables", "--overlays", "/out/pictures")

    done = image.segment(data, out, *words.split(), *extras, "--nucleus_diameter=2.5")

    assert done.code == 0, done.out + done.err
    pictures = {f"pictures/5d_{view}.png" for view in ("xy", "xz", "yz")}
    assert (
        files(out)
        == {"5d.ome.tif", "nucseg_run.json", "tables", "tables/5d.csv", "tables/5d.json", "pictures"} | pictures
    )
    assert record(out)["5d.ome.tif"]["voxel_size_um"] == [0.3, 0.25, 0.25]
    assert record(out)["5d.ome.tif"]["nuclei"] > 0
    rows = (out / "tables" / "5d.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + record(out)["5d.ome.tif"]["nuclei"]
    if image.method == "stardist3d":
        at = rows[0].split(",").index("probability")
        assert all(0 < float(row.split(",")[at]) <= 1 for row in rows[1:])
