import csv
from pathlib import Path

import numpy as np
import pytest
from skimage.measure import regionprops_table

from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.morphometry import measure, write_table
from nucseg.volume import Triple, Volume


def volume_of(data: np.ndarray, voxel_size: Triple | None = None) -> Volume:
    return Volume(data, voxel_size, Path("a.tif"))


def two_boxes() -> tuple[np.ndarray, Volume]:
    labels = np.zeros((6, 8, 10), np.uint16)
    labels[1:3, 2:5, 3:7] = 1  # 24 voxels
    labels[4:6, 6:8, 0:2] = 4  # at the border; labels 2 and 3 are missing
    data = np.full(labels.shape, 100, np.uint16)
    data[labels == 1] = 65_000
    data[1, 2, 3] = 100
    return labels, volume_of(data, (2.0, 0.5, 0.25))


def test_by_hand() -> None:
    table = measure(*two_boxes())
    row = {name: column.tolist() for name, column in table.items()}
    assert row["label"] == [1, 4]
    assert row["volume_voxels"] == [24, 8]
    assert row["volume_um3"] == [6.0, 2.0]
    assert row["equivalent_diameter_um"] == pytest.approx([2.2545, 1.5632], abs=1e-4)
    assert [row[f"centroid_{a}_voxels"][0] for a in "zyx"] == [1.5, 3.0, 4.5]
    assert [row[f"centroid_{a}_um"][0] for a in "zyx"] == [3.0, 1.5, 1.125]
    assert [(row[f"box_{a}_first"][0], row[f"box_{a}_last"][0]) for a in "zyx"] == [(1, 2), (2, 4), (3, 6)]
    assert row["total_intensity"][0] == 23 * 65_000 + 100
    assert row["mean_intensity"][0] == pytest.approx((23 * 65_000 + 100) / 24)
    assert row["touches_border"] == [0, 1]


def test_without_a_voxel_size_nothing_is_called_micrometres() -> None:
    labels, volume = two_boxes()
    table = measure(labels, volume_of(volume.data))
    assert not [name for name in table if name.endswith(("_um", "_um3"))]
    assert table["equivalent_diameter_voxels"] == pytest.approx(
        [(6 * 24 / np.pi) ** (1 / 3), (6 * 8 / np.pi) ** (1 / 3)]
    )


def test_values_are_those_of_skimage_also_across_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucseg.morphometry._SLAB_VOXELS", 500)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(0, 60, (6, 5, 5)), 3, 1), 4, 2).astype(np.int32)
    data = rng.normal(100, 30, labels.shape).astype(">f4")
    names = ["label", "area", "centroid", "bbox", "intensity_mean", "equivalent_diameter_area"]
    expected = regionprops_table(labels, data.astype(np.float32), properties=names)
    table = measure(labels, volume_of(data))
    np.testing.assert_array_equal(table["label"], expected["label"])
    np.testing.assert_array_equal(table["volume_voxels"], expected["area"])
    np.testing.assert_allclose(table["mean_intensity"], expected["intensity_mean"], rtol=1e-5)
    np.testing.assert_allclose(table["equivalent_diameter_voxels"], expected["equivalent_diameter_area"])
    for i, axis in enumerate("zyx"):
        np.testing.assert_allclose(table[f"centroid_{axis}_voxels"], expected[f"centroid-{i}"])
        np.testing.assert_array_equal(table[f"box_{axis}_first"], expected[f"bbox-{i}"])
        np.testing.assert_array_equal(table[f"box_{axis}_last"] + 1, expected[f"bbox-{i + 3}"])


def test_more_than_65535_nuclei() -> None:
    labels = np.arange(70_000, dtype=np.uint32).reshape(7, 100, 100)
    table = measure(labels, volume_of(labels.astype(np.float32)))
    np.testing.assert_array_equal(table["label"], np.arange(1, 70_000))
    np.testing.assert_array_equal(table["total_intensity"], np.arange(1, 70_000))


def test_no_nuclei_give_a_table_with_columns_and_no_rows(tmp_path: Path) -> None:
    table = measure(np.zeros((2, 3, 4), np.uint16), volume_of(np.zeros((2, 3, 4))))
    write_table(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text().splitlines() == [",".join(table)]


def test_a_table_comes_back_from_the_file(tmp_path: Path) -> None:
    table = measure(*two_boxes())
    write_table(tmp_path / "a.csv", table)
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(table)
    for name, column in table.items():
        assert [float(r[name]) for r in rows] == pytest.approx(column.tolist(), rel=1e-6)
    assert rows[0]["label"] == "1"
    assert rows[0]["total_intensity"] == "1495100"


def test_sums_of_integers_are_written_exactly(tmp_path: Path) -> None:
    data = np.full((100, 60, 60), 65_533, np.uint16)
    write_table(tmp_path / "a.csv", measure(np.ones(data.shape, np.uint8), volume_of(data)))
    assert f",{360_000 * 65_533}," in (tmp_path / "a.csv").read_text()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NucsegError) as caught:
        write_table(tmp_path / "none" / "a.csv", measure(*two_boxes()))
    assert caught.value.exit_code == ENVIRONMENT


def test_shapes_must_agree() -> None:
    labels, volume = two_boxes()
    with pytest.raises(ValueError, match="do not belong"):
        measure(labels[:-1], volume)
