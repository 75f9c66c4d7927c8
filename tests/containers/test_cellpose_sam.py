"""Cellpose-SAM has no weights that may ship: random ones show that its image loads and runs a file of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from container_harness import Image, nuclei, open_folder, record, write_ome

pytestmark = [pytest.mark.needs("docker"), pytest.mark.slow]

RANDOM = """
import sys, torch
sys.path.insert(0, "/opt/nucseg")
from images.cellpose_sam.upstream import import_models
import_models()
from cellpose.vit import CPSAM
torch.manual_seed(0)
CPSAM(dtype=torch.float32).save_model("/out/cpsam_v2")
"""

SPARSE = """
import sys
from pathlib import Path
import numpy as np
import torch
sys.path.insert(0, "/opt/nucseg")
from images.cellpose_sam.method import METHOD, CellposeSamParams
from nucseg.volume import Volume
model, seen = "/model/cpsam_v2", []
params = CellposeSamParams(model=model, nucleus_diameter=30.0)
segmenter = METHOD.load(Path(model), params, "cpu")
def run(x):
    seen.extend([float(x.min()), float(x.max())])
    return torch.zeros(len(x), segmenter.network.nout, *x.shape[-2:])
segmenter.network.run = run
data = np.full((6, 40, 40), 7, np.uint8)
data[2:4, 10:15, 10:15] = 200
segmenter.segment(Volume(data, None, Path("a.tif")), params, lambda fraction, text: None)
print("seen from", min(seen), "to", max(seen))
"""


@pytest.fixture(scope="module")
def image() -> Image:
    return Image("cellpose_sam")


@pytest.fixture(scope="module")
def weights(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = open_folder(tmp_path_factory.mktemp("sam") / "weights")
    image.python(RANDOM, mounts=[f"{folder}:/out"])
    yield folder / "cpsam_v2"
    # 1.2 GB that pytest would keep.
    (folder / "cpsam_v2").unlink()


def test_a_file_of_weights_is_run(image: Image, weights: Path, tmp_path: Path) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    # Six planes of one tile each: a tile takes many seconds without a GPU.
    write_ome(data / "a.tif", nuclei((2, 16, 16))[:, :2, :2])
    mounts = [f"{data}:/data:ro", f"{out}:/out", f"{weights}:/model/cpsam_v2:ro"]
    words = ("--in", "/data", "--out", "/out", "--model", "/model", "--nucleus_diameter", "30")
    done = image.run(*words, mounts=mounts)
    assert done.code == 0, done.out + done.err
    assert tifffile.imread(out / "a.tif").shape == (2, 2, 2)
    assert record(out)["a.tif"]["status"] == "done"


def test_nuclei_on_a_constant_background_are_seen_from_0_to_1(image: Image, weights: Path) -> None:
    assert "seen from 0.0 to 1.0" in image.python(SPARSE, mounts=[f"{weights}:/model/cpsam_v2:ro"])


def test_a_file_of_other_weights_is_refused(image: Image, tmp_path: Path) -> None:
    data, out = open_folder(tmp_path / "data"), open_folder(tmp_path / "out")
    write_ome(data / "a.tif", np.zeros((2, 8, 8), np.uint16))
    (tmp_path / "weights").write_bytes(b"no weights")
    mounts = [f"{data}:/data:ro", f"{out}:/out", f"{tmp_path / 'weights'}:/model/weights:ro"]
    done = image.run("--in", "/data", "--out", "/out", "--model", "/model", mounts=mounts)
    assert done.code == 2
    assert "cpsam_v2" in done.fatal
    assert not list(out.iterdir())


def test_the_program_is_well_without_weights_and_says_so(image: Image) -> None:
    done = image.run("--check")
    assert done.code == 0, done.err
    assert "note: no model was tried: Cellpose-SAM comes without weights" in done.out
