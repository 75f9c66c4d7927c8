"""The folders that really arrive: OME-Zarr beside TIFF, awkward names, no voxel size, and what else lies there."""

import re
import shutil

import numpy as np
import pytest
import tifffile
from app_harness import TRUTH, image, names, process, record, run, status, write_image, write_zarr

from nucseg.formats import read_labels

# That of biomero 2.8.3, which takes the third field for the folder that it removes after the job.
BIOMERO_PATH = re.compile(r"Running [\w-]+? Job w/ .+? \| .+? \| (.+?) \|.*", re.IGNORECASE)


@pytest.fixture
def folder(tmp_path):
    """What BIOMERO, microscopes and people put into one folder."""
    source = tmp_path / "in"
    write_image(source / "x.ome.tif.0.tif", 1)
    write_image(source / "x.lif [image2] (1).0.tif", 2)
    write_zarr(source / "old [a].zarr", image(3))
    write_zarr(source / "new.ome.zarr", image(4), zarr_format=3)
    write_zarr(source / ".hidden.zarr", image(5))
    (source / "._x.ome.tif.0.tif").write_bytes(b"\0\5\26\7")
    (source / "notes.txt").write_text("day 3")
    (source / "sub folder").mkdir()
    return source


LABELS = ["new.ome.tif", "old [a].tif", "x.lif [image2] (1).0.tif", "x.ome.tif.0.tif"]


def test_every_image_has_one_label_image_and_nothing_else_appears(folder, tmp_path, capsys):
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    assert run((folder, tmp_path / "out")) == 0
    assert names(tmp_path / "out") == [*LABELS[:1], "nucseg_run.json", *LABELS[1:]]
    for name in LABELS:
        with tifffile.TiffFile(tmp_path / "out" / name) as tif:
            assert tif.series[0].axes == "ZYX"
            assert np.unique(tif.asarray()).tolist() == [0, 1, 2]
    assert [entry["voxel_size_um"] for entry in record(tmp_path / "out")["images"]] == [[1.0, 0.5, 0.5]] * 4
    out = capsys.readouterr().out
    assert "note: left out, no TIFF and no OME-Zarr: notes.txt, sub folder" in out
    assert "hidden" not in out
    assert sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_a_zarr_image_is_segmented_like_the_same_tiff_image(tmp_path):
    write_image(tmp_path / "tiff" / "a.tif", 1)
    write_zarr(tmp_path / "zarr" / "a.zarr", image(1))
    for kind in ("tiff", "zarr"):
        assert run((tmp_path / kind, tmp_path / f"{kind} out")) == 0
    labels = [(tmp_path / f"{kind} out" / "a.tif").read_bytes() for kind in ("tiff", "zarr")]
    assert labels[0] == labels[1]


def test_resuming_notices_that_one_chunk_has_changed(folder, tmp_path, capsys):
    assert run((folder, tmp_path / "out")) == 0
    assert run((folder, tmp_path / "out"), "--resume") == 0
    assert "0 done, 0 failed, 4 done before" in capsys.readouterr().out
    write_zarr(folder / "new.ome.zarr", image(9), zarr_format=3)
    assert run((folder, tmp_path / "out"), "--resume") == 0
    assert "1 done, 0 failed, 3 done before" in capsys.readouterr().out


def test_zarr_ground_truth_of_zarr_and_tiff_images(folder, tmp_path):
    write_zarr(tmp_path / "gt" / "old [a].zarr", TRUTH)
    write_zarr(tmp_path / "gt" / "x.ome.tif.0.zarr", TRUTH, zarr_format=3)
    (tmp_path / "gt" / "new.ome.tif").symlink_to(tmp_path / "gt" / "labels.tif")
    tifffile.imwrite(tmp_path / "gt" / "labels.tif", TRUTH)
    assert run((folder, tmp_path / "out"), "--gt", f"{tmp_path}/gt") == 0
    scored = {entry["file"] for entry in record(tmp_path / "out")["images"] if "scores" in entry}
    assert scored == {"old [a].zarr", "x.ome.tif.0.tif", "new.ome.zarr"}


def test_broken_zarr_images_cost_only_themselves(folder, tmp_path, capsys):
    (folder / "new.ome.zarr" / "0" / "c" / "0" / "0" / "0").write_bytes(b"cut")
    (folder / "empty.zarr").mkdir()
    (folder / "gone.zarr").symlink_to(folder / "nowhere")
    write_zarr(folder / "two.zarr", np.stack([image(1), image(2)]))
    assert run((folder, tmp_path / "out")) == 1
    assert [file for file, state in status(tmp_path / "out").items() if state == "failed"] == [
        "empty.zarr",
        "gone.zarr",
        "new.ome.zarr",
        "two.zarr",
    ]
    assert names(tmp_path / "out") == ["nucseg_run.json", *LABELS[1:]]
    assert "two.zarr has 2 channels, and none was chosen. Try: choose one with --nuc_channel" in capsys.readouterr().out


def test_a_zarr_and_a_tiff_of_one_name_fail_both(folder, tmp_path):
    write_image(folder / "new.tif")
    assert run((folder, tmp_path / "out")) == 1
    assert {file for file, state in status(tmp_path / "out").items() if state == "failed"} == {
        "new.ome.zarr",
        "new.tif",
    }
    assert names(tmp_path / "out") == ["nucseg_run.json", *LABELS[1:]]


def test_an_image_s_own_folder_is_not_the_folder_of_images(folder, tmp_path, capsys):
    assert run((folder / "old [a].zarr", tmp_path / "out")) == 2
    assert "try: name the folder that it lies in" in capsys.readouterr().err


def test_two_channels_of_an_export_that_has_lost_its_voxel_size(tmp_path, capsys):
    both = np.stack([np.zeros_like(TRUTH), image(1)], axis=1)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.0.tif", both, ome=True, metadata={"axes": "ZCYX"})
    assert run((tmp_path / "in", tmp_path / "out"), "--nuc_channel=1") == 0
    assert "note: 8 x 32 x 32 voxels (ZYX) of unknown size, taken as cubes" in capsys.readouterr().out
    sizes = ("--voxel_size_z=2.0", "--voxel_size_y=0.25", "--voxel_size_x=0.25")
    assert run((tmp_path / "in", tmp_path / "out"), "--nuc_channel=1", *sizes) == 0
    assert "of 2 x 0.25 x 0.25 µm, as the parameters say" in capsys.readouterr().out
    assert record(tmp_path / "out")["images"][0]["voxel_size_um"] == [2.0, 0.25, 0.25]
    with tifffile.TiffFile(tmp_path / "out" / "a.0.tif") as tif:
        assert 'PhysicalSizeZ="2.0"' in tif.ome_metadata
    write_image(tmp_path / "in" / "a.0.tif")
    assert run((tmp_path / "in", tmp_path / "out")) == 0
    assert "of 1 x 0.5 x 0.5 µm, as the image says" in capsys.readouterr().out


def test_no_text_that_an_image_brings_along_can_forge_a_line_of_biomero_s(folder, tmp_path):
    forged = "Running x Job w/ a | b | /important | c"
    write_zarr(folder / "b.zarr", image(1))
    described = folder / "b.zarr" / ".zattrs"
    described.write_text(described.read_text().replace('"path": "0"', f'"path": "{forged}"'))
    # A warning of a logger, with the name of the image.
    name = f"\n{forged}".replace("/", "\N{DIVISION SLASH}") + ".tif"
    shutil.copy(folder / "x.ome.tif.0.tif", folder / name)
    with tifffile.TiffWriter(folder / "b\nRunning x Job w.tif") as writer:
        writer.write(image(1), metadata={"axes": "ZYX"})
        writer.write(image(2)[:, :4], metadata={"axes": "ZYX"})
    running = process("--in", str(folder), "--out", str(tmp_path / "out"))
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "lacks its full resolution, Running x Job w" in out
    assert "holds 2 images" in out
    assert not err
    assert not BIOMERO_PATH.search(out)
    percentages = re.findall(r"\d+%", out)
    assert percentages[-1] == "100%"
    assert read_labels(tmp_path / "out" / name).max() == 2
