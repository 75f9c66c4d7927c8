from pathlib import Path

import numpy as np
import pytest
import tifffile

from nucseg.errors import NucsegError
from nucseg.formats import read_volume
from nucseg.volume import Triple

STACK = np.zeros((5, 6, 7), np.uint16)


def size_of(path: Path, **options: object) -> Triple | None:
    explicit = options.pop("voxel_size", (0.0, 0.0, 0.0))
    tifffile.imwrite(path / "a.tif", STACK, **options)
    return read_volume(path / "a.tif", voxel_size=explicit).voxel_size  # type: ignore[arg-type]


def ome(z: object, y: object, x: object, unit: str | None = None) -> dict[str, object]:
    metadata = {f"PhysicalSize{a}": v for a, v in zip("ZYX", (z, y, x), strict=True) if v is not None}
    units = {f"{key}Unit": unit for key in metadata} if unit else {}
    return {"ome": True, "metadata": {"axes": "ZYX", **metadata, **units}}


def imagej(unit: str | None, spacing: float | None = 2.0, pixels_per_unit: float = 4.0) -> dict[str, object]:
    metadata = {"axes": "ZYX", "unit": unit, "spacing": spacing}
    present = {key: value for key, value in metadata.items() if value is not None}
    return {"imagej": True, "metadata": present, "resolution": (pixels_per_unit, pixels_per_unit)}


@pytest.mark.parametrize(("unit", "factor"), [(None, 1), ("µm", 1), ("nm", 1e-3), ("mm", 1e3), ("Å", 1e-4)])
def test_ome_sizes_are_converted_to_micrometres(tmp_path: Path, unit: str | None, factor: float) -> None:
    assert size_of(tmp_path, **ome(2.0, 0.25, 0.5, unit)) == pytest.approx((2 * factor, 0.25 * factor, 0.5 * factor))


@pytest.mark.parametrize("unit", ["micron", "um", "µm", "\\u00B5m", "microns"])
def test_imagej_spellings_of_the_micrometre(tmp_path: Path, unit: str) -> None:
    if unit == "µm":
        # ImageJ descriptions are ASCII for tifffile; Fiji writes the byte of Latin-1.
        size_of(tmp_path, **imagej("?m"))
        path = tmp_path / "a.tif"
        path.write_bytes(path.read_bytes().replace(b"unit=?m", b"unit=\xb5m"))
        assert read_volume(path).voxel_size == (2.0, 0.25, 0.25)
    else:
        assert size_of(tmp_path, **imagej(unit)) == (2.0, 0.25, 0.25)


def test_imagej_leaves_out_a_distance_of_slices_of_1(tmp_path: Path) -> None:
    assert size_of(tmp_path, **imagej("micron", None)) == (1.0, 0.25, 0.25)


def test_other_imagej_units(tmp_path: Path) -> None:
    assert size_of(tmp_path, **imagej("nm", 2000, 1 / 250)) == pytest.approx((2.0, 0.25, 0.25))
    assert size_of(tmp_path, **imagej("mm", 0.002, 4000)) == pytest.approx((2.0, 0.25, 0.25))


@pytest.mark.parametrize(
    "options",
    [
        imagej("pixel"),
        imagej(None),
        imagej("inch", 1.0, 72.0),
        imagej("pixel", None),
        {"resolution": (72, 72), "resolutionunit": "inch"},
        {"resolution": (40000, 40000), "resolutionunit": "centimeter"},
        {},
        ome(None, 0.5, 0.5),
        ome(2.0, None, None),
        ome(0.0, 0.5, 0.5),
        ome(2.0, 0.5, 0.5, "pixel"),
    ],
)
def test_a_size_that_is_not_declared_in_full_is_unknown(tmp_path: Path, options: dict[str, object]) -> None:
    assert size_of(tmp_path, **options) is None


def test_pixels_are_square_where_one_side_is_declared(tmp_path: Path) -> None:
    assert size_of(tmp_path, **ome(2.0, None, 0.5)) == (2.0, 0.5, 0.5)


def test_explicit_values_count_for_their_axis(tmp_path: Path) -> None:
    assert size_of(tmp_path, **imagej("micron"), voxel_size=(3.0, 0.0, 0.0)) == (3.0, 0.25, 0.25)
    assert size_of(tmp_path, voxel_size=(3.0, 1.0, 0.5)) == (3.0, 1.0, 0.5)
    assert size_of(tmp_path, **imagej("micron", None), voxel_size=(3.0, 0.0, 0.0)) == (3.0, 0.25, 0.25)


@pytest.mark.parametrize(("explicit", "missing"), [((3.0, 0.0, 0.0), "Y and X"), ((0.0, 1.0, 1.0), "Z")])
def test_a_part_of_a_size_is_an_error(tmp_path: Path, explicit: Triple, missing: str) -> None:
    with pytest.raises(NucsegError, match=rf"along {missing}\."):
        size_of(tmp_path, voxel_size=explicit)
