"""OME-Zarr folders of all versions, written with the zarr package itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
import zarr.codecs

from nucseg.errors import FAILED_IMAGE, NucsegError
from nucseg.formats import omezarr, read_labels, read_volume
from nucseg.formats.label_file import open_labels

T, C, Z, Y, X = 2, 3, 5, 8, 9
FIVE = np.arange(T * C * Z * Y * X, dtype=np.uint16).reshape(T, C, Z, Y, X) + 1
STACK = FIVE[1, 2]
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
KINDS = {"t": "time", "c": "channel"}


def axes_of(names: str, units: dict[str, str] = UNITS) -> list[dict[str, str]]:
    axes = [{"name": name, "type": KINDS.get(name, "space"), "unit": units.get(name, "")} for name in names]
    return [{key: value for key, value in axis.items() if value} for axis in axes]


def multiscale(names: str, scale: list[float] | None = None, units: dict[str, str] = UNITS) -> dict[str, Any]:
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [2.0**level * edge for edge in scale or [1.0] * len(names)]},
                {"type": "translation", "translation": [0.5] * len(names)},
            ],
        }
        for level in range(2)
    ]
    return {"axes": axes_of(names, units), "datasets": datasets}


def saved(
    path: Path,
    data: np.ndarray,
    names: str = "zyx",
    version: str = "0.4",
    described: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """An image of two resolutions, the second of which holds other values."""
    described = {"version": version, **(described or multiscale(names))}
    group = new_group(path, version, {"multiscales": [described]})
    for level in range(2):
        group.create_array(str(level), data=data if level == 0 else np.zeros_like(data[..., ::2]), **options)
    return path


def new_group(path: Path, version: str, attributes: dict[str, Any]) -> zarr.Group:
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    group.attrs.update({"ome": {"version": version, **attributes}} if version == "0.5" else attributes)
    return group


def problem(path: Path, **choice: int) -> str:
    with pytest.raises(NucsegError) as caught:
        read_volume(path, **choice)
    assert caught.value.exit_code == FAILED_IMAGE
    assert caught.value.hint
    assert path.name in caught.value.cause
    return caught.value.cause


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("names", ["tczyx", "czyx", "tzyx", "zyx", "zcyx", "xyzct"])
def test_takes_one_channel_of_one_time_point_at_full_resolution(tmp_path: Path, names: str, version: str) -> None:
    part = FIVE[tuple(slice(None) if axis in names else -1 for axis in "tczyx")]
    ordered = part.transpose([[axis for axis in "tczyx" if axis in names].index(axis) for axis in names])
    path = saved(tmp_path / "a.zarr", ordered, names, version, chunks=tuple(max(1, n // 2) for n in ordered.shape))
    choice = {key: index for axis, key, index in (("c", "channel", 2), ("t", "time_point", 1)) if axis in names}
    volume = read_volume(path, **choice)
    np.testing.assert_array_equal(volume.data, STACK)
    assert volume.data.dtype == np.uint16
    assert volume.source == path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_voxel_size_is_that_of_the_full_resolution_times_the_image_s(tmp_path: Path, version: str) -> None:
    described = multiscale("zyx", [0.5, 100.0, 100.0], {"z": "micrometer", "y": "nanometer", "x": "nanometer"})
    described["coordinateTransformations"] = [{"type": "scale", "scale": [2.0, 1.0, 1.0]}]
    path = saved(tmp_path / "a.zarr", STACK, version=version, described=described)
    assert read_volume(path).voxel_size == pytest.approx((1.0, 0.1, 0.1))
    assert read_volume(path, voxel_size=(3.0, 0.0, 0.0)).voxel_size == pytest.approx((3.0, 0.1, 0.1))


@pytest.mark.parametrize("units", [{}, {"z": "pixel", "y": "pixel", "x": "pixel"}, {"y": "micrometer"}])
def test_a_scale_without_a_unit_of_length_is_no_voxel_size(tmp_path: Path, units: dict[str, str]) -> None:
    path = saved(tmp_path / "a.zarr", STACK, described=multiscale("zyx", [0.5, 0.2, 0.2], units))
    assert read_volume(path).voxel_size is None
    assert read_volume(path, voxel_size=(0.5, 0.2, 0.2)).voxel_size == (0.5, 0.2, 0.2)


def test_versions_before_axes_had_types(tmp_path: Path) -> None:
    third = {"axes": list("zyx"), "datasets": [{"path": "0"}]}
    volume = read_volume(saved(tmp_path / "third.zarr", STACK, version="0.3", described=third))
    np.testing.assert_array_equal(volume.data, STACK)
    assert volume.voxel_size is None
    first = saved(tmp_path / "first.zarr", FIVE, version="0.1", described={"datasets": [{"path": "0"}]})
    np.testing.assert_array_equal(read_volume(first, channel=2, time_point=1).data, STACK)


def test_axes_of_other_names_are_known_by_their_types(tmp_path: Path) -> None:
    described = multiscale("czyx")
    described["axes"][0]["name"] = "dye"
    described["axes"][1]["name"] = "depth"
    path = saved(tmp_path / "a.zarr", FIVE[1], described=described)
    np.testing.assert_array_equal(read_volume(path, channel=2).data, STACK)


@pytest.mark.parametrize("compressors", [None, "auto"])
@pytest.mark.parametrize(
    "options", [{"shards": (4, 4, 4), "chunks": (2, 2, 2)}, {"chunks": (5, 8, 9)}, {"chunks": (1, 3, 9)}]
)
def test_chunks_and_shards_of_any_shape_are_put_together(
    tmp_path: Path, options: dict[str, Any], compressors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.zarr", STACK, version="0.5", compressors=compressors, **options)
    np.testing.assert_array_equal(read_volume(path).data, STACK)
    monkeypatch.setattr(omezarr, "_SLAB_VOXELS", 50)
    np.testing.assert_array_equal(read_volume(path).data, STACK)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", ">u2", "float32", ">f8"])
def test_dtype_is_kept_in_the_byte_order_of_the_machine(tmp_path: Path, dtype: str) -> None:
    data = (STACK % 2).astype(dtype)
    read = read_volume(saved(tmp_path / "a.zarr", data)).data
    assert read.dtype == (np.uint8 if dtype == "bool" else np.dtype(dtype).newbyteorder("="))
    np.testing.assert_array_equal(read, data)


def chunk(path: Path, channel: int) -> Path:
    return path / "0" / f"{channel}.0.0.0"


def test_only_the_chunks_of_the_channel_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.zarr", FIVE[1], "czyx", chunks=(1, Z, Y, X))
    chunk(path, 0).write_bytes(b"\xff" * 50)
    np.testing.assert_array_equal(read_volume(path, channel=2).data, STACK)
    assert "damaged" in problem(path, channel=0)


@pytest.mark.parametrize(
    ("version", "codec"),
    [
        ("0.4", None),
        ("0.4", numcodecs.Blosc()),
        ("0.4", numcodecs.Zstd()),
        ("0.4", numcodecs.GZip()),
        ("0.5", None),
        ("0.5", zarr.codecs.BloscCodec()),
        ("0.5", zarr.codecs.ZstdCodec()),
    ],
)
def test_a_chunk_that_is_cut_off_is_an_error(tmp_path: Path, version: str, codec: Any) -> None:
    path = saved(tmp_path / "a.zarr", STACK, version=version, chunks=STACK.shape, compressors=codec)
    file = path / "0" / ("c/0/0/0" if version == "0.5" else "0.0.0")
    whole = file.read_bytes()
    for length in (0, 1, 17, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert "damaged" in problem(path)


def test_chunks_that_are_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path / "a.zarr", FIVE[1], "czyx", chunks=(1, 3, Y, X))
    (path / "0" / "2.0.0.0").unlink()
    volume = read_volume(path, channel=2)
    assert "a.zarr: 1 of 2 chunks are not there and are read as 0" in caplog.text
    assert not volume.data[:3].any()
    np.testing.assert_array_equal(volume.data[3:], STACK[3:])
    (path / "0" / "2.1.0.0").unlink()
    assert "holds no data" in problem(path, channel=2)
    caplog.clear()
    read_volume(path, channel=1)
    assert not caplog.text


@pytest.mark.parametrize(
    ("data", "names", "choice", "message"),
    [
        (STACK[0], "yx", {}, "is a 2D image"),
        (STACK[:1], "zyx", {}, "only one slice"),
        (STACK, "cyx", {}, "no Z axis (5 channels"),
        (FIVE[0], "czyx", {}, "has 3 channels, and none was chosen"),
        (FIVE[0], "czyx", {"channel": 3}, "number 3 was asked for"),
        (FIVE[:, 0], "tzyx", {}, "has 2 time points, and none was chosen"),
        (STACK, "zyx", {"channel": 1}, "only one channel"),
        (STACK.astype(np.complex64), "zyx", {}, "complex"),
        (np.where(STACK[3, 1, 1] == STACK, np.nan, STACK).astype(np.float32), "zyx", {}, "first in slice 3"),
        (FIVE[0], "zyx", {}, "describes 3 axes and has 4"),
    ],
)
def test_what_is_no_single_volume_is_an_error(
    tmp_path: Path, data: np.ndarray, names: str, choice: dict[str, int], message: str
) -> None:
    assert message in problem(saved(tmp_path / "a.zarr", data, names), **choice)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_bioformats2raw_folder_of_one_image_is_that_image(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.zarr"
    new_group(path, version, {"bioformats2raw.layout": 3})
    new_group(path / "OME", version, {"series": ["0"]})
    saved(path / "0", STACK, version=version)
    np.testing.assert_array_equal(read_volume(path).data, STACK)
    saved(path / "1", STACK, version=version)
    assert "a collection of 2 images" in problem(path)


def test_a_plate_and_a_well_are_not_one_image(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    new_group(path, "0.4", {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    new_group(path / "A" / "1", "0.4", {"well": {"images": [{"path": "0"}]}})
    assert "a plate of 2 wells" in problem(path)
    (path / "A" / "1").rename(tmp_path / "w.zarr")
    assert "a well of 1 image" in problem(tmp_path / "w.zarr")


def test_folders_that_are_no_ome_zarr(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    assert "No such file" in problem(path)
    path.mkdir()
    assert "is no Zarr folder" in problem(path)
    zarr.create_array(path, data=STACK, overwrite=True)
    assert "array without OME-Zarr metadata" in problem(path)
    zarr.open_group(path, mode="w")
    assert "no OME-Zarr metadata" in problem(path)
    # A copy without hidden files.
    saved(path, STACK)
    (path / ".zattrs").unlink()
    assert "no OME-Zarr metadata" in problem(path)
    (path / ".zgroup").unlink()
    assert "is no Zarr folder" in problem(path)
    saved(path, STACK)
    shutil.rmtree(path / "0")
    assert "lacks its full resolution" in problem(path)
    saved(path, STACK)
    (path / ".zattrs").write_text("{")
    assert "damaged" in problem(path)
    (path / ".zattrs").write_text('{"multiscales": [{"datasets": []}]}')
    assert "damaged" in problem(path)


def test_a_codec_that_is_not_here_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.zarr", STACK)
    described = json.loads((path / "0" / ".zarray").read_text())
    (path / "0" / ".zarray").write_text(json.dumps({**described, "compressor": {"id": "strange"}}))
    assert "strange" in problem(path)


def test_labels_are_read_too(tmp_path: Path) -> None:
    labels = (STACK % 7).astype(np.int64)
    read = read_labels(saved(tmp_path / "a.zarr", labels, version="0.5"))
    assert read.dtype == np.uint64
    np.testing.assert_array_equal(read, labels)


def test_labels_have_the_size_of_their_voxels(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.zarr", STACK, described=multiscale("zyx", scale=[2.0, 0.5, 0.5]))
    assert open_labels(path).voxel_size == read_volume(path).voxel_size == (2.0, 0.5, 0.5)


def test_a_link_to_a_folder_is_read(tmp_path: Path) -> None:
    saved(tmp_path / "elsewhere", STACK)
    (tmp_path / "a.zarr").symlink_to(tmp_path / "elsewhere")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.zarr").data, STACK)
