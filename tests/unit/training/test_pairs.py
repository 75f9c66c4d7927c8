"""Pairs are found by name and checked before training starts."""

import numpy as np
import pytest
import tifffile

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import write_labels, write_volume
from nucseg.training.pairs import find_pairs, oversized


def nuclei(shape=(20, 30, 30)):
    labels = np.zeros(shape, np.int32)
    labels[4:12, 4:12, 4:12] = 1
    labels[4:12, 12:20, 4:12] = 2
    return labels


@pytest.fixture
def folders(tmp_path):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    return tmp_path / "images", tmp_path / "labels"


def write(folders, name, labels, image=None, voxel_size=(1.0, 0.5, 0.5)):
    noise = np.random.default_rng(0).integers(50, 90, labels.shape)
    write_volume(
        folders[0] / name, (noise + 500 * (labels > 0)).astype(np.uint16) if image is None else image, voxel_size
    )
    write_labels(folders[1] / name, labels, voxel_size)


def test_a_pair_knows_the_size_of_its_nuclei(folders):
    write(folders, "a.tif", nuclei())
    (pair,) = find_pairs(*folders)
    assert pair.name == "a"
    # 8 x 8 x 8 voxels of 1 x 0.5 x 0.5 µm are 1,024 cubes of 0.5 µm.
    assert pair.diameter == pytest.approx(np.cbrt(1024 * 6 / np.pi))
    assert sorted(pair.centres.tolist()) == [[7.5, 7.5, 7.5], [7.5, 15.5, 7.5]]


def test_a_pair_of_few_nuclei_on_a_constant_background_is_fit(folders):
    labels = np.zeros((20, 30, 30), np.int32)
    labels[4:7, 4:7, 4:7] = 1
    write(folders, "a.tif", labels, np.where(labels > 0, 300, 5).astype(np.uint16))
    assert [pair.range for pair in find_pairs(*folders)] == [(5.0, 300.0)]


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a_lbl.tif"])
def test_labels_are_found_as_everywhere_else(folders, name):
    write(folders, "a.tif", nuclei())
    (folders[1] / "a.tif").rename(folders[1] / name)
    (pair,) = find_pairs(*folders)
    assert pair.name == "a"
    assert len(pair.centres) == 2


def test_the_labels_of_the_same_file_name_come_first(folders):
    for name in ("a.ome.tif", "a.tif"):
        write(folders, name, nuclei() * (nuclei() == 1) if name == "a.tif" else nuclei())
    (folders[0] / "a.ome.tif").unlink()
    (pair,) = find_pairs(*folders)
    assert len(pair.centres) == 1


def test_what_to_do_about_an_unfit_file_is_told(folders):
    write(folders, "a.tif", nuclei())
    write(folders, "b.tif", nuclei())
    tifffile.imwrite(folders[1] / "b.tif", -nuclei())
    with pytest.raises(NucsegError) as error:
        find_pairs(*folders)
    assert "b.tif holds negative labels or NaN (give a label image: 0 for background" in error.value.cause


def test_every_unfit_pair_is_named_at_once(folders):
    write(folders, "good.tif", nuclei())
    write(folders, "empty.tif", np.zeros((20, 30, 30), np.int32))
    write(folders, "shape.tif", nuclei(), np.zeros((20, 30, 31), np.uint16))
    write(folders, "flat.tif", nuclei(), np.full((20, 30, 30), 7, np.uint16))
    mask = np.zeros((20, 30, 30), np.int32)
    mask[2:5, 2:5, 2:5] = mask[10:15, 10:15, 10:15] = 1
    write(folders, "mask.tif", mask)
    write(folders, "alone.tif", nuclei())
    (folders[1] / "alone.tif").unlink()
    with pytest.raises(NucsegError) as error:
        find_pairs(*folders)
    assert error.value.exit_code == USAGE
    for words in (
        "alone.tif: no label image",
        "empty.tif: no nucleus",
        "mask.tif: the labels are a mask",
        "flat.tif: the image has the same intensity, 7,",
        "shape.tif: the image has",
    ):
        assert words in error.value.cause
    assert "good.tif" not in error.value.cause


def test_odd_labels_are_told_but_used(folders):
    labels = nuclei()
    labels[labels == 2] = 9
    labels[16:19, 25:28, 25:28] = 1
    write(folders, "a.tif", nuclei())
    tifffile.imwrite(folders[1] / "a.tif", labels)
    (pair,) = find_pairs(*folders)
    gaps, torn = pair.notes
    assert gaps.startswith("7 label numbers between 1 and 9")
    assert "2 nuclei are 3 connected objects" in torn
    write(folders, "a.tif", nuclei())
    assert find_pairs(*folders)[0].notes == ()


def test_nuclei_larger_than_the_patches_are_told(folders):
    labels = nuclei()
    labels[:, 22:26, :] = 3
    write(folders, "a.tif", labels)
    (pair,) = find_pairs(*folders)
    assert "1 of 3 nuclei span" in oversized(pair, pair.diameter, 24)
    assert oversized(pair, pair.diameter, 64) == ""
