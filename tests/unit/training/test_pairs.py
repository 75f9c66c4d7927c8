"""Pairs are found by name and checked before training starts."""

import pickle

import numpy as np
import pytest
import tifffile

from nucseg.errors import USAGE, NucsegError
from nucseg.formats import write_labels, write_volume
from nucseg.training.pairs import find_pairs, oversized
from nucseg.training.params import TrainParams


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
    (pair,) = find_pairs(*folders, TrainParams())
    assert pair.name == "a"
    # 8 x 8 x 8 voxels of 1 x 0.5 x 0.5 µm are 1,024 cubes of 0.5 µm.
    assert pair.diameter == pytest.approx(np.cbrt(1024 * 6 / np.pi))
    assert sorted(pair.centres.tolist()) == [[7.5, 7.5, 7.5], [7.5, 15.5, 7.5]]


def test_a_pair_of_few_nuclei_on_a_constant_background_is_fit(folders):
    labels = np.zeros((20, 30, 30), np.int32)
    labels[4:7, 4:7, 4:7] = 1
    write(folders, "a.tif", labels, np.where(labels > 0, 300, 5).astype(np.uint16))
    assert [pair.range for pair in find_pairs(*folders, TrainParams())] == [(5.0, 300.0)]


def test_images_are_read_as_the_parameters_say(folders):
    labels = nuclei()
    channels = np.stack([np.full(labels.shape, 7), 500 * (labels > 0)], axis=1).astype(np.uint16)
    tifffile.imwrite(folders[0] / "a.ome.tif", channels, ome=True, metadata={"axes": "ZCYX"}, photometric="minisblack")
    write_labels(folders[1] / "a.tif", labels, None)
    with pytest.raises(NucsegError, match="--nuc_channel"):
        find_pairs(*folders, TrainParams())
    sizes = {"voxel_size_z": 2.0, "voxel_size_y": 0.5, "voxel_size_x": 0.5}
    (pair,) = find_pairs(*folders, TrainParams(nuc_channel=1, **sizes))
    assert pair.volume.voxel_size == (2.0, 0.5, 0.5)
    assert pair.range == (0.0, 500.0)


def test_pairs_are_compared_by_identity(folders):
    write(folders, "a.tif", nuclei())
    first, second = (find_pairs(*folders, TrainParams()) for _ in range(2))
    assert first == list(first)
    assert first != second


def test_mapped_volumes_are_sent_to_workers_by_their_place(folders, monkeypatch):
    write(folders, "a.tif", nuclei((64, 128, 128)))
    monkeypatch.setattr("nucseg.formats.tiff._MAP_FROM_BYTES", 1)
    tifffile.imwrite(folders[0] / "a.tif", tifffile.imread(folders[0] / "a.tif"), photometric="minisblack")
    (pair,) = find_pairs(*folders, TrainParams())
    buffers = []
    assert len(pickle.dumps(pair, protocol=5, buffer_callback=buffers.append)) < 20_000
    assert len(buffers) >= 2


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a_lbl.tif"])
def test_labels_are_found_as_everywhere_else(folders, name):
    write(folders, "a.tif", nuclei())
    (folders[1] / "a.tif").rename(folders[1] / name)
    (pair,) = find_pairs(*folders, TrainParams())
    assert pair.name == "a"
    assert len(pair.centres) == 2


def test_the_labels_of_the_same_file_name_come_first(folders):
    for name in ("a.ome.tif", "a.tif"):
        write(folders, name, nuclei() * (nuclei() == 1) if name == "a.tif" else nuclei())
    (folders[0] / "a.ome.tif").unlink()
    (pair,) = find_pairs(*folders, TrainParams())
    assert len(pair.centres) == 1


def test_what_to_do_about_an_unfit_file_is_told(folders):
    write(folders, "a.tif", nuclei())
    write(folders, "b.tif", nuclei())
    tifffile.imwrite(folders[1] / "b.tif", -nuclei())
    with pytest.raises(NucsegError) as error:
        find_pairs(*folders, TrainParams())
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
        find_pairs(*folders, TrainParams())
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
    (pair,) = find_pairs(*folders, TrainParams())
    gaps, torn = pair.notes
    assert gaps.startswith("7 label numbers between 1 and 9")
    assert "2 nuclei are 3 connected objects" in torn
    write(folders, "a.tif", nuclei())
    assert find_pairs(*folders, TrainParams())[0].notes == ()


def test_numbers_of_any_size_are_labels(folders):
    write(folders, "a.tif", nuclei())
    (small,) = find_pairs(*folders, TrainParams())
    tifffile.imwrite(folders[1] / "a.tif", np.where(nuclei() > 0, nuclei() + np.uint32(2**32 - 4), 0).astype(np.uint32))
    (large,) = find_pairs(*folders, TrainParams())
    tifffile.imwrite(folders[1] / "a.tif", nuclei() * np.uint16(1000))
    (sparse,) = find_pairs(*folders, TrainParams())
    assert sparse.labels.max() == nuclei().max()
    assert large.labels.max() == nuclei().max()
    assert large.diameter == small.diameter
    assert np.array_equal(large.centres, small.centres)


def test_nuclei_larger_than_the_patches_are_told(folders):
    labels = nuclei()
    labels[:, 22:26, :] = 3
    write(folders, "a.tif", labels)
    (pair,) = find_pairs(*folders, TrainParams())
    assert "1 of 3 nuclei span" in oversized(pair, pair.diameter, 24)
    assert oversized(pair, pair.diameter, 64) == ""
