from pathlib import Path

import pytest

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import image_stem, list_images


def test_lists_tiff_files_sorted_whatever_their_case_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.tif", "a.TIFF", "c (1) [x].ome.tif", "ä é.Tif", ".hidden.tif", "notes.txt", "d.tif.part", "tif"):
        (tmp_path / name).touch()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "e.tif").touch()
    assert [p.name for p in list_images(tmp_path)] == ["a.TIFF", "b.tif", "c (1) [x].ome.tif", "ä é.Tif"]


def test_a_dead_link_is_listed_so_that_it_can_be_reported(tmp_path: Path) -> None:
    (tmp_path / "gone.tif").symlink_to(tmp_path / "nowhere.tif")
    assert [p.name for p in list_images(tmp_path)] == ["gone.tif"]


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(NucsegError, match="cannot read the folder") as caught:
        list_images(tmp_path / "none")
    assert caught.value.exit_code == USAGE


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.tif", "a"),
        ("a.ome.tif", "a"),
        ("a.OME.TIFF", "a"),
        ("a.ome.tif.0.tif", "a.ome.tif.0"),
        ("x.lif [2].tiff", "x.lif [2]"),
    ],
)
def test_stem_is_the_name_without_the_tiff_suffix(name: str, stem: str) -> None:
    assert image_stem(Path("in") / name) == stem
