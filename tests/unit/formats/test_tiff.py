import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nucseg.errors import FAILED_IMAGE, NucsegError
from nucseg.formats import read_labels, read_volume
from nucseg.formats.label_file import open_labels

T, Z, C, Y, X = 2, 5, 3, 8, 9
FIVE = np.arange(T * Z * C * Y * X, dtype=np.uint16).reshape(T, Z, C, Y, X)
STACK = FIVE[1, :, 2]


def saved(folder: Path, data: np.ndarray, **options: object) -> Path:
    path = folder / str(options.pop("name", "image.tif"))
    tifffile.imwrite(path, data, **options)
    return path


def problem(path: Path, **choice: int) -> str:
    with pytest.raises(NucsegError) as caught:
        read_volume(path, **choice)
    assert caught.value.exit_code == FAILED_IMAGE
    assert caught.value.hint
    assert path.name in caught.value.cause
    return caught.value.cause


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metadata": None},
        {"metadata": {"axes": "ZYX"}},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"volumetric": True},
        {"rowsperstrip": 3},
        {"tile": (16, 16)},
    ],
)
def test_reads_a_stack_of_any_flavour(tmp_path: Path, options: dict[str, object], compression: str | None) -> None:
    volume = read_volume(saved(tmp_path, STACK, compression=compression, **options))
    np.testing.assert_array_equal(volume.data, STACK)
    assert volume.data.dtype == np.uint16


def test_reads_a_stack_of_differences(tmp_path: Path) -> None:
    volume = read_volume(saved(tmp_path, STACK, compression="zlib", predictor=True))
    np.testing.assert_array_equal(volume.data, STACK)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "CTZYX", "ZTCYX"])
def test_takes_one_channel_of_one_time_point_of_any_order_of_axes(
    tmp_path: Path, axes: str, compression: str | None
) -> None:
    ordered = FIVE.transpose(["TZCYX".index(a) for a in axes])
    path = saved(tmp_path, ordered, ome=True, metadata={"axes": axes}, compression=compression)
    np.testing.assert_array_equal(read_volume(path, channel=2, time_point=1).data, STACK)


def test_slices_may_be_the_last_axis(tmp_path: Path) -> None:
    path = saved(tmp_path, STACK.transpose(1, 2, 0), metadata={"axes": "YXZ"})
    np.testing.assert_array_equal(read_volume(path).data, STACK)


def test_a_large_uncompressed_volume_is_mapped_and_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucseg.formats.tiff._MAP_FROM_BYTES", 100)
    path = saved(tmp_path, FIVE, imagej=True, metadata={"axes": "TZCYX"})
    data = read_volume(path, channel=2, time_point=1).data
    assert isinstance(data, np.memmap)
    assert not data.flags.writeable
    np.testing.assert_array_equal(data, STACK)


def test_only_the_pages_of_the_channel_are_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path, FIVE, ome=True, metadata={"axes": "TZCYX"}, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        other = tif.pages[0]  # channel 0
        offset, count = other.dataoffsets[0], other.databytecounts[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * count)
    np.testing.assert_array_equal(read_volume(path, channel=2, time_point=1).data, STACK)
    assert "damaged" in problem(path, channel=0, time_point=0)


def test_colours_of_an_rgb_stack_are_its_channels(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (Z, Y, X, 3), dtype=np.uint8)
    path = saved(tmp_path, rgb, photometric="rgb")
    assert "is RGB, with 3 colours, and none was chosen" in problem(path)
    np.testing.assert_array_equal(read_volume(path, channel=1).data, rgb[..., 1])
    planar = saved(tmp_path, rgb.transpose(0, 3, 1, 2), photometric="rgb", planarconfig="separate", compression="zlib")
    np.testing.assert_array_equal(read_volume(planar, channel=1).data, rgb[..., 1])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", "float16", "float32", "float64"])
def test_dtype_is_kept(tmp_path: Path, dtype: str) -> None:
    data = (STACK % 2).astype(dtype)
    volume = read_volume(saved(tmp_path, data, photometric="minisblack"))
    assert volume.data.dtype == (np.uint8 if dtype == "bool" else dtype)
    np.testing.assert_array_equal(volume.data, data)


def test_a_constant_volume_and_a_tiny_one_are_no_error(tmp_path: Path) -> None:
    assert not read_volume(saved(tmp_path, np.zeros((3, 3, 5), np.uint8), photometric="minisblack")).data.any()


@pytest.mark.parametrize(
    ("data", "options", "choice", "message"),
    [
        (STACK[0], {}, {}, "is a 2D image"),
        (STACK[:1], {}, {}, "only one slice"),
        (STACK[:1], {"ome": True, "metadata": {"axes": "ZYX"}}, {}, "only one slice"),
        (STACK[:1], {"imagej": True, "metadata": {"axes": "ZYX"}}, {}, "only one slice"),
        (np.zeros((Y, X, 3), np.uint8), {"photometric": "rgb"}, {}, "2D RGB"),
        (STACK, {"ome": True, "metadata": {"axes": "CYX"}}, {}, "no Z axis (5 channels"),
        (STACK, {"imagej": True, "metadata": {"axes": "TYX"}}, {}, "no Z axis (5 time points"),
        (FIVE[0], {"ome": True, "metadata": {"axes": "ZCYX"}}, {}, "has 3 channels, and none was chosen"),
        (FIVE[0], {"ome": True, "metadata": {"axes": "ZCYX"}}, {"channel": 3}, "number 3 was asked for"),
        (FIVE[:, :, 0], {"ome": True, "metadata": {"axes": "TZYX"}}, {}, "has 2 time points, and none was chosen"),
        (STACK, {}, {"channel": 1}, "only one channel"),
        (STACK, {}, {"time_point": 1}, "only one time point"),
        (FIVE, {"photometric": "minisblack"}, {}, "more dimensions"),
        (STACK.astype(np.complex64), {}, {}, "complex"),
        (np.where(STACK[3, 1, 1] == STACK, np.nan, STACK).astype(np.float32), {}, {}, "first in slice 3"),
        (np.where(STACK[3, 1, 1] == STACK, np.inf, STACK).astype(np.float32), {}, {}, "infinity"),
        (np.full((2, 3, 4), 1e300), {"photometric": "minisblack"}, {}, "beyond float32"),
    ],
)
def test_what_is_no_single_volume_is_an_error(
    tmp_path: Path, data: np.ndarray, options: dict[str, object], choice: dict[str, int], message: str
) -> None:
    assert message in problem(saved(tmp_path, data, **options), **choice)


def test_files_that_are_no_tiff(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    assert "No such file" in problem(path)
    path.touch()
    assert "is empty" in problem(path)
    path.write_text("label\tvolume\n1\t20\n")
    assert "is not a TIFF" in problem(path)
    path.write_bytes(b"II*\0 and then nonsense")
    assert "truncated or damaged" in problem(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = saved(tmp_path, STACK)
    path.chmod(0)
    assert "Permission denied" in problem(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "options",
    [
        {"ome": True, "metadata": {"axes": "TZCYX"}},
        {"imagej": True, "metadata": {"axes": "TZCYX"}},
        {"metadata": {"axes": "TZCYX"}, "photometric": "minisblack"},
    ],
)
def test_a_truncated_file_never_passes_for_a_whole_one(
    tmp_path: Path, options: dict[str, object], compression: str | None
) -> None:
    path = saved(tmp_path, FIVE, compression=compression, **options)
    whole = path.read_bytes()
    expected = read_volume(path, channel=2, time_point=1).data
    for length in [*range(4, len(whole), 101), *range(len(whole) - 30, len(whole))]:
        path.write_bytes(whole[:length])
        try:
            data = read_volume(path, channel=2, time_point=1).data
        except NucsegError as error:
            assert "truncated" in error.cause  # noqa: PT017 - the last bytes may hold nothing that matters
        else:
            np.testing.assert_array_equal(data, expected)
            assert length > len(whole) - 100


def test_an_ome_file_whose_planes_lie_in_an_absent_file(tmp_path: Path) -> None:
    path = saved(tmp_path, FIVE[0], ome=True, metadata={"axes": "ZCYX"})
    with tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
    assert xml is not None
    one_plane = f'<TiffData IFD="0" PlaneCount="{Z * C}"/>'
    assert one_plane in xml
    elsewhere = (
        '<TiffData IFD="0" PlaneCount="5"/>'
        f'<TiffData FirstZ="2" IFD="0" PlaneCount="{Z * C - 5}">'
        '<UUID FileName="no.ome.tif">urn:uuid:1</UUID></TiffData>'
    )
    tifffile.imwrite(path, STACK, metadata=None, description=xml.replace(one_plane, elsewhere).encode())
    assert "missing" in problem(path, channel=0)


def test_the_first_of_several_images_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "two.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK)
        writer.write(STACK[:, :4])
    np.testing.assert_array_equal(read_volume(path).data, STACK)
    assert "holds 2 images" in caplog.text


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "int32", "uint32", "int64", "float32", "float64"])
def test_labels_of_any_dtype_are_read_as_unsigned_integers(tmp_path: Path, dtype: str) -> None:
    labels = (STACK % 2).astype(dtype)
    read = read_labels(saved(tmp_path, labels, photometric="minisblack"))
    assert read.dtype.kind == "u"
    np.testing.assert_array_equal(read, labels)


def test_large_labels_of_fiji_are_in_the_machines_byte_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucseg.formats.tiff._MAP_FROM_BYTES", 100)
    labels = read_labels(saved(tmp_path, STACK, byteorder=">"))
    assert labels.dtype.isnative
    np.testing.assert_array_equal(labels, STACK)


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan, np.inf])
def test_numbers_that_are_no_labels(tmp_path: Path, value: float) -> None:
    labels = np.zeros((2, 3, 4), np.float32)
    labels[1, 1, 1] = value
    with pytest.raises(NucsegError, match=r"labels"):
        read_labels(saved(tmp_path, labels, photometric="minisblack"))


def test_negative_integer_labels_and_2d_labels(tmp_path: Path) -> None:
    with pytest.raises(NucsegError, match="negative"):
        read_labels(saved(tmp_path, np.full((2, 3, 5), -1, np.int32), photometric="minisblack"))
    with pytest.raises(NucsegError, match="2D"):
        read_labels(saved(tmp_path, STACK[0]))


def test_labels_are_read_in_the_order_of_the_image(tmp_path):
    """Not in that of the file's pages, which another program may have written otherwise."""
    head = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
    sizes = 'DimensionOrder="XYZCT" Type="uint8" SizeX="6" SizeY="5" SizeZ="3" SizeC="1" SizeT="1">'
    order = "".join(f'<TiffData IFD="{page}" FirstZ="{z}" PlaneCount="1"/>' for z, page in enumerate((0, 2, 1)))
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as file:
        for value, description in ((5, f"{head}{sizes}{order}</Pixels></Image></OME>"), (9, None), (7, None)):
            file.write(np.full((5, 6), value, np.uint8), description=description, metadata=None, contiguous=False)
    assert read_labels(path)[:, 0, 0].tolist() == [5, 7, 9]
    assert [open_labels(path).planes(z, z + 1)[0, 0, 0] for z in range(3)] == [5, 7, 9]
