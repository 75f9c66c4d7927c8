"""Models in upstream's formats, as the original packages wrote them, segment a volume through the command line."""

import lzma
import shutil
from pathlib import Path

import pytest

from nucseg.app import main
from nucseg.formats import read_labels, write_volume
from nucseg.simulation import simulate

DATA = Path(__file__).parents[1] / "data"


def qcanet(folder: Path) -> Path:
    return Path(shutil.copytree(DATA / "qcanet", folder, ignore=shutil.ignore_patterns("expected*")))


def unet3d(folder: Path) -> Path:
    folder.mkdir()
    (source,) = (DATA / "unet3d" / "gcr").glob("*.xz")
    file = folder / "best_checkpoint.pytorch"
    file.write_bytes(lzma.decompress(source.read_bytes()))
    return file


@pytest.mark.parametrize("make", [qcanet, unet3d])
def test_it_segments(make, tmp_path, monkeypatch):
    volume, _ = simulate("embryo", seed=1, shape=(16, 32, 32))
    (tmp_path / "in").mkdir()
    write_volume(tmp_path / "in" / "a.tif", volume.data, volume.voxel_size)
    monkeypatch.setenv("NUCSEG_METHOD", make.__name__)
    words = ["--in", tmp_path / "in", "--out", tmp_path / "out", "--model", make(tmp_path / "model")]
    assert main([str(word) for word in words]) == 0
    assert read_labels(tmp_path / "out" / "a.tif").shape == volume.shape
