import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import content_sha256, image_stem, label_name, last_changed, list_images, size_on_disk


def test_lists_images_sorted_whatever_their_case_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.tif", "a.TIFF", "c (1) [x].ome.tif", "ä é.Tif", ".hidden.tif", "notes.txt", "d.tif.part", "tif"):
        (tmp_path / name).touch()
    for name in ("folder.tif", "e.zarr", "e.lif [2].OME.Zarr", ".f.zarr", "sub", "sub/g.zarr"):
        (tmp_path / name).mkdir()
    (tmp_path / "sub" / "e.tif").touch()
    (tmp_path / "file.zarr").touch()
    (tmp_path / "link.zarr").symlink_to(tmp_path / "sub")
    expected = ["a.TIFF", "b.tif", "c (1) [x].ome.tif", "e.lif [2].OME.Zarr", "e.zarr", "link.zarr", "ä é.Tif"]
    assert [p.name for p in list_images(tmp_path)] == expected


@pytest.mark.parametrize("name", ["gone.tif", "gone.zarr"])
def test_a_dead_link_is_listed_so_that_it_can_be_reported(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    assert [p.name for p in list_images(tmp_path)] == [name]
    assert size_on_disk(tmp_path / name) == 0


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
        ("x.lif [2].zarr", "x.lif [2]"),
        ("a.ome.ZARR", "a"),
        ("a.zarr.tif", "a.zarr"),
    ],
)
def test_stem_is_the_name_without_the_suffix(name: str, stem: str) -> None:
    assert image_stem(Path("in") / name) == stem


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("a.tif", "a.tif"),
        ("a.ome.tif.0.tif", "a.ome.tif.0.tif"),
        ("a.tif.zarr", "a.tif.tif"),
        ("a.OME.ZARR", "a.OME.tif"),
    ],
)
def test_labels_have_the_image_s_name_and_are_tiff(name: str, labels: str) -> None:
    assert label_name(Path("in") / name) == labels


def test_a_file_s_size_and_digest(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"abc")
    assert size_on_disk(tmp_path / "a.tif") == 3
    assert content_sha256(tmp_path / "a.tif") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_s_digest_is_that_of_the_list_that_sha256sum_prints(tmp_path: Path) -> None:
    image = tmp_path / "a.zarr"
    (image / "0" / "c").mkdir(parents=True)
    for name in ("zarr.json", ".zattrs", "0/c/0", "0/zarr.json"):
        (image / name).write_bytes(name.encode())
    assert size_on_disk(image) == 9 + 7 + 5 + 11
    listing = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum"
    printed = subprocess.run(listing, shell=True, cwd=image, capture_output=True, check=True).stdout
    digest = content_sha256(image)
    assert digest == hashlib.sha256(printed).hexdigest()
    (image / "0" / "c" / "0").rename(image / "0" / "c" / "1")
    assert content_sha256(image) != digest


def test_a_folder_has_changed_when_one_of_its_files_has(tmp_path: Path) -> None:
    chunk = tmp_path / "a.zarr" / "0" / "c"
    chunk.parent.mkdir(parents=True)
    chunk.touch()
    os.utime(chunk, (3e9, 3e9))
    assert last_changed(tmp_path / "a.zarr") == last_changed(chunk) == 3e9
