"""Folders: nothing of an input is ever in reach of an output, and left-over parts are found."""

import pytest

from nucseg.atomic import part_path
from nucseg.errors import NucsegError
from nucseg.folders import check_apart, chosen, find_ground_truth, prepare_output, remove_parts, same_stem


def test_apart(tmp_path):
    for name in ("in/deep", "out"):
        (tmp_path / name).mkdir(parents=True)
    check_apart([tmp_path / "in", None], [tmp_path / "out", tmp_path, tmp_path / "input", None])
    check_apart([tmp_path / "nowhere"], [tmp_path / "out"])
    check_apart([tmp_path / "in"], [tmp_path / "in" / "out"], within=True)
    with pytest.raises(NucsegError, match="is, or lies in"):
        check_apart([tmp_path / "in"], [tmp_path / "in"], within=True)
    for target in ("in", "in/deep", "in/new/out", "in/deep/..", "out/../in"):
        with pytest.raises(NucsegError):
            check_apart([tmp_path / "in"], [tmp_path / target])


def test_an_output_folder_is_made_and_left_empty(tmp_path):
    prepare_output(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_probe_of_another_run_is_left_to_it(tmp_path):
    other = tmp_path / ".nucseg_probe.part"
    other.write_text("another run's")
    prepare_output(tmp_path)
    assert other.read_text() == "another run's"


def test_only_our_own_parts_are_removed(tmp_path):
    long, neighbour = (tmp_path / ("x" * 100 + name) for name in ("1.tif", "2.tif"))
    kept = {".other.tif.part", ".a.tiff.part", "download.part", "a.tif", ".part", part_path(neighbour).name}
    for name in (".a.tif.part", part_path(long).name, *kept):
        (tmp_path / name).touch()
    remove_parts([tmp_path / "a.tif", long, tmp_path / "gone" / "b.tif"])
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_chosen_images(tmp_path):
    images = [tmp_path / name for name in ("a [1].tif", "b µ.tif", "c.tif")]
    assert chosen(images, ()) == images
    assert chosen(images, ("c.tif", "a [1].tif", "c.tif")) == [images[0], images[2]]
    with pytest.raises(NucsegError, match=r"no image b u\.tif") as caught:
        chosen(images, ("c.tif", "b u.tif"))
    assert caught.value.hint == "--only=b µ.tif"


def test_an_image_is_its_own_ground_truth_only_where_there_is_no_other(tmp_path):
    for name in ("a.tif", "a_lbl.tif"):
        (tmp_path / name).touch()
    images = [tmp_path / "a.tif", tmp_path / "a_lbl.tif"]
    assert find_ground_truth(tmp_path, images) == {images[0]: images[1], images[1]: images[1]}


def test_same_stem(tmp_path):
    images = [tmp_path / name for name in ("a.ome.tif", "a.tif", "a.tif.tif", "b.tiff")]
    assert same_stem(images) == {images[0]: ["a.tif"], images[1]: ["a.ome.tif"]}
