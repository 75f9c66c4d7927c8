import json
from pathlib import Path

import numpy as np
import pytest

from nucseg import __version__
from nucseg.errors import ENVIRONMENT, NucsegError
from nucseg.morphometry import Table, measure, read_table, table_files, write_companion, write_table
from nucseg.volume import Volume


@pytest.fixture
def volume() -> Volume:
    return Volume(np.arange(4 * 6 * 6, dtype=np.uint16).reshape(4, 6, 6), (2.0, 0.5, 0.25), Path("nuclei 1.tif"))


@pytest.fixture
def table(volume: Volume) -> Table:
    labels = np.zeros(volume.shape, np.uint16)
    labels[1:3, 1:4, 1:4] = 1
    labels[0, 5, 5] = 300
    return measure(labels, volume)


def test_a_table_comes_back_from_the_file(table: Table, tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", table)
    back = read_table(tmp_path / "a.csv")
    assert list(back) == list(table)
    for name, column in table.items():
        np.testing.assert_allclose(back[name], column, rtol=1e-6)
    assert back["label"].dtype == np.int64
    assert np.isnan(back["flatness"][1])


@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), None])
def test_no_nuclei_give_a_table_with_columns_and_no_rows(voxel_size, tmp_path: Path) -> None:
    table = measure(np.zeros((2, 3, 4), np.uint16), Volume(np.zeros((2, 3, 4)), voxel_size, Path("a.tif")))
    write_table(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_text().splitlines() == [",".join(table)]
    back = read_table(tmp_path / "a.csv")
    assert list(back) == list(table)
    assert {len(column) for column in back.values()} == {0}


def test_sums_of_integers_are_written_exactly(tmp_path: Path) -> None:
    data = np.full((100, 60, 60), 65_533, np.uint16)
    write_table(tmp_path / "a.csv", measure(np.ones(data.shape, np.uint8), Volume(data, None, Path("a.tif"))))
    assert f",{360_000 * 65_533}," in (tmp_path / "a.csv").read_text()


def test_the_companion_explains_every_column(table: Table, volume: Volume, tmp_path: Path) -> None:
    path, companion = table_files(tmp_path, "nuclei 1")
    write_table(path, table)
    write_companion(companion, table, volume)
    assert (path.name, companion.name) == ("nuclei 1.csv", "nuclei 1.json")
    content = json.loads(companion.read_text(encoding="utf-8"))
    assert list(content["columns"]) == list(read_table(path))
    assert all(column["unit"] and column["meaning"] for column in content["columns"].values())
    assert content["columns"]["volume_um3"]["unit"] == "µm³"
    assert content["columns"]["surface_area_um2"]["unit"] == "µm²"
    assert "NucleusJ" in content["columns"]["flatness"]["source"]
    assert (content["image"], content["nucseg"], content["nuclei"]) == ("nuclei 1.tif", __version__, 2)
    assert content["voxel_size_um"] == [2.0, 0.5, 0.25]


def test_a_folder_that_is_not_there(table: Table, volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(NucsegError) as caught:
        write_table(tmp_path / "none" / "a.csv", table)
    assert caught.value.exit_code == ENVIRONMENT
    with pytest.raises(NucsegError) as caught:
        write_companion(tmp_path / "none" / "a.json", table, volume)
    assert caught.value.exit_code == ENVIRONMENT


@pytest.mark.parametrize("text", ["", "label,volume_um3\n1\n", "label,volume_um3\n1,a\n"])
def test_what_is_no_table(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"table|convert"):
        read_table(tmp_path / "a.csv")
