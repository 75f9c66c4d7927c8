from pathlib import Path

import numpy as np
import pytest
from skimage.measure import regionprops_table

from nucseg.morphometry import COLUMNS, measure
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
    assert row["equivalent_radius_um"] == pytest.approx([1.12725, 0.7816], abs=1e-4)
    assert [row[f"centroid_{a}_voxels"][0] for a in "zyx"] == [1.5, 3.0, 4.5]
    assert [row[f"centroid_{a}_um"][0] for a in "zyx"] == [3.0, 1.5, 1.125]
    assert [(row[f"box_{a}_first"][0], row[f"box_{a}_last"][0]) for a in "zyx"] == [(1, 2), (2, 4), (3, 6)]
    assert row["total_intensity"][0] == 23 * 65_000 + 100
    assert row["mean_intensity"][0] == pytest.approx((23 * 65_000 + 100) / 24)
    assert (row["min_intensity"], row["max_intensity"]) == ([100, 100], [65_000, 100])
    assert row["std_intensity"] == pytest.approx([64_900 * 23**0.5 / 24, 0])
    assert row["cv_intensity"] == pytest.approx([row["std_intensity"][0] / row["mean_intensity"][0], 0])
    # Centroids at (3, 1.5, 1.125) and (9, 3.25, 0.125) µm.
    assert row["nearest_neighbour_um"] == pytest.approx([(6**2 + 1.75**2 + 1) ** 0.5] * 2)
    assert row["nearest_neighbour_label"] == [4, 1]
    assert row["touches_border"] == [0, 1]


def test_principal_axes_of_a_box_by_hand() -> None:
    table = measure(*two_boxes())
    # Variance of n equally spaced positions: (n² - 1) / 12; the first box has 2, 3 and 4 voxels of 2, 0.5 and 0.25 µm.
    z, y, x = (2 * np.sqrt(5 * (n**2 - 1) / 12) * edge for n, edge in ((2, 2.0), (3, 0.5), (4, 0.25)))
    assert [table[f"{name}_axis_um"][0] for name in ("major", "middle", "minor")] == pytest.approx([z, y, x])
    assert [table[f"major_axis_{a}"][0] for a in "zyx"] == pytest.approx([1, 0, 0])
    assert [table[f"minor_axis_{a}"][0] for a in "zyx"] == pytest.approx([0, 0, 1])
    assert table["elongation"][0] == pytest.approx(z / y)
    assert table["flatness"][0] == pytest.approx(y / x)


def test_without_a_voxel_size_nothing_is_called_micrometres() -> None:
    labels, volume = two_boxes()
    table = measure(labels, volume_of(volume.data))
    assert not [name for name in table if name.endswith(("_um", "_um3"))]
    assert {"surface_area_voxels2", "major_axis_voxels", "nearest_neighbour_voxels"} <= set(table)
    assert table["equivalent_diameter_voxels"] == pytest.approx(
        [(6 * 24 / np.pi) ** (1 / 3), (6 * 8 / np.pi) ** (1 / 3)]
    )


def test_values_are_those_of_skimage_also_across_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucseg.runs._SLAB_VOXELS", 500)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(0, 60, (6, 5, 5)), 3, 1), 4, 2).astype(np.int32)
    data = rng.normal(100, 30, labels.shape).astype(">f4")
    names = ["label", "area", "centroid", "bbox", "intensity_mean", "intensity_std", "intensity_min", "intensity_max"]
    names += ["equivalent_diameter_area", "axis_major_length", "axis_minor_length"]
    expected = regionprops_table(labels, data.astype(np.float32), properties=names)
    table = measure(labels, volume_of(data))
    np.testing.assert_array_equal(table["label"], expected["label"])
    np.testing.assert_array_equal(table["volume_voxels"], expected["area"])
    np.testing.assert_allclose(table["mean_intensity"], expected["intensity_mean"], rtol=1e-5)
    np.testing.assert_allclose(table["equivalent_diameter_voxels"], expected["equivalent_diameter_area"])
    np.testing.assert_allclose(table["std_intensity"], expected["intensity_std"], rtol=1e-4)
    np.testing.assert_allclose(table["min_intensity"], expected["intensity_min"], rtol=1e-6)
    np.testing.assert_allclose(table["max_intensity"], expected["intensity_max"], rtol=1e-6)
    np.testing.assert_allclose(table["major_axis_voxels"], expected["axis_major_length"])
    np.testing.assert_allclose(table["minor_axis_voxels"], expected["axis_minor_length"], atol=1e-6)
    for i, axis in enumerate("zyx"):
        np.testing.assert_allclose(table[f"centroid_{axis}_voxels"], expected[f"centroid-{i}"])
        np.testing.assert_array_equal(table[f"box_{axis}_first"], expected[f"bbox-{i}"])
        np.testing.assert_array_equal(table[f"box_{axis}_last"] + 1, expected[f"bbox-{i + 3}"])


def test_more_than_65535_nuclei() -> None:
    labels = np.arange(70_000, dtype=np.uint32).reshape(7, 100, 100)
    table = measure(labels, volume_of(labels.astype(np.float32)))
    np.testing.assert_array_equal(table["label"], np.arange(1, 70_000))
    np.testing.assert_array_equal(table["total_intensity"], np.arange(1, 70_000))


def test_shapes_must_agree() -> None:
    labels, volume = two_boxes()
    with pytest.raises(ValueError, match="do not belong"):
        measure(labels[:-1], volume)


def test_far_from_the_origin_the_axes_are_the_same() -> None:
    ball = np.sum(np.square(np.mgrid[-4:5, -4:5, -4:5]), axis=0) <= 16
    near, far = np.zeros((9, 9, 9), np.uint8), np.zeros((9, 9, 60_000), np.uint8)
    near[ball], far[..., -9:][ball] = 1, 1
    names = [f"{name}_axis_voxels" for name in ("major", "middle", "minor")]
    tables = [measure(labels, volume_of(labels)) for labels in (near, far)]
    for name in names:
        assert tables[0][name] == pytest.approx(tables[1][name], rel=1e-12)


def test_intensities_of_little_contrast_on_a_high_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of squares would lose all digits of this spread; here it is exact across slabs too."""
    monkeypatch.setattr("nucseg.runs._SLAB_VOXELS", 64)
    data = np.full((4, 8, 8), 1e9)
    data[::2] += 0.5
    table = measure(np.ones(data.shape, np.uint8), volume_of(data))
    assert table["std_intensity"] == pytest.approx([0.25], rel=1e-9)
    flat = measure(np.ones(data.shape, np.uint8), volume_of(np.full(data.shape, 0.1)))
    assert flat["cv_intensity"][0] < 1e-12


def test_a_lone_nucleus_has_no_neighbour_and_lines_and_planes_no_ratio() -> None:
    labels = np.zeros((5, 9, 9), np.uint8)
    labels[2, 4, 1:8] = 1
    line = measure(labels, volume_of(labels, (1.0, 1.0, 1.0)))
    assert np.isnan(line["nearest_neighbour_um"][0])
    assert line["nearest_neighbour_label"][0] == 0
    assert line["major_axis_um"] == pytest.approx([2 * np.sqrt(5 * 48 / 12)])
    assert np.isnan([line["elongation"][0], line["flatness"][0]]).all()
    labels[2, 2:7, 1:8] = 1
    plane = measure(labels, volume_of(labels, (1.0, 1.0, 1.0)))
    assert plane["elongation"] == pytest.approx([np.sqrt(48 / 24)])
    assert np.isnan(plane["flatness"][0])


def test_neighbours_with_the_same_centroid() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[1:4, 1:4, 1:4] = 1
    labels[2, 2, 2] = 2
    table = measure(labels, volume_of(labels))
    assert table["nearest_neighbour_voxels"].tolist() == [0, 0]
    assert table["nearest_neighbour_label"].tolist() == [2, 1]


def test_the_nearest_of_many_is_found() -> None:
    rng = np.random.default_rng(5)
    labels = np.zeros((30, 40, 50), np.uint16)
    seeds = rng.choice(labels.size, 200, replace=False)
    labels.ravel()[seeds] = rng.permutation(200) + 1
    size = (2.0, 0.5, 0.25)
    table = measure(labels, volume_of(labels, size))
    points = np.array([np.argwhere(labels == label)[0] for label in table["label"]]) * size
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(table["nearest_neighbour_um"], distances.min(axis=1))
    found = np.searchsorted(table["label"], table["nearest_neighbour_label"])
    np.testing.assert_allclose(distances[np.arange(200), found], distances.min(axis=1))


def test_labels_up_to_the_largest_take_no_memory_for_the_gaps() -> None:
    labels = np.zeros((3, 3, 3), np.uint32)
    labels[0, 0, 0], labels[2, 2, 2] = 7, 2**32 - 1
    table = measure(labels, volume_of(labels.astype(np.float32)))
    assert table["label"].tolist() == [7, 2**32 - 1]
    assert table["nearest_neighbour_label"].tolist() == [2**32 - 1, 7]


def test_the_file_says_what_every_column_is() -> None:
    labels, volume = two_boxes()
    for size in (volume.voxel_size, None):
        for name in measure(labels, volume_of(volume.data, size)):
            assert COLUMNS[name].unit
            assert COLUMNS[name].meaning
            if name.endswith(("_um", "_um2", "_um3")):
                assert COLUMNS[name].unit.startswith("µm")
