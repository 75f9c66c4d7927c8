import logging
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("cellpose", reason="cellpose 3 is in its image only")
resnet_torch = pytest.importorskip("cellpose.resnet_torch", reason="this is cellpose 4")

from images.cellpose.method import METHOD, CellposeParams  # noqa: E402
from nucseg.errors import USAGE, NucsegError  # noqa: E402
from nucseg.models import write_model  # noqa: E402
from nucseg.planes import count_tiles, seen_shape  # noqa: E402
from nucseg.volume import Volume  # noqa: E402

SHAPE = (16, 48, 48)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    """A network with random weights that sees nuclei where the image is bright."""
    torch.manual_seed(0)
    network = resnet_torch.CPnet([2, 4, 8], 3, sz=3, mkldnn=False, diam_mean=20.0)
    network.output[2].bias.data[2] = 1
    path = tmp_path_factory.mktemp("model") / "random"
    network.save_model(str(path))
    return path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def volume() -> Volume:
    z, y, x = np.indices(SHAPE)
    balls = ((z % 16 - 8) * 2) ** 2 + (y % 16 - 8) ** 2 + (x % 16 - 8) ** 2 < 36
    noise = np.random.default_rng(0).integers(0, 200, SHAPE)
    return Volume((800 * balls + noise).astype(np.uint16), (1.0, 0.5, 0.5), Path("balls.tif"))


def load(path: Path, **params):
    params = CellposeParams(exact=True, **params)
    return METHOD.load(path, params, "cpu"), params


def test_labels_are_upstreams(tmp_path, no_network):
    from cellpose.models import CellposeModel

    torch.manual_seed(1)
    network = resnet_torch.CPnet([2, 32, 64, 128, 256], 3, sz=3, mkldnn=False, diam_mean=12.0)
    network.output[2].weight.data *= 30
    network.output[2].bias.data[2] = 2
    network.save_model(str(tmp_path / "random"))
    data = np.random.default_rng(0).integers(0, 1000, (8, 32, 40)).astype(np.uint16)
    segmenter, params = load(tmp_path, nucleus_diameter=5.0)
    labels = segmenter.segment(Volume(data, (1.0, 0.5, 0.5), Path("a.tif")), params, lambda fraction, text: None)
    upstream = CellposeModel(pretrained_model=str(tmp_path / "random"), mkldnn=False, device=torch.device("cpu"))
    expected, _, _ = upstream.eval(data, do_3D=True, channels=[0, 0], z_axis=0, diameter=10.0, anisotropy=2.0)
    assert labels.max() > 1
    np.testing.assert_array_equal(labels, expected)


def test_fast_arithmetic_is_close_for_any_shape(model_file):
    exact, _ = load(model_file)
    fast = METHOD.load(model_file, CellposeParams(), "cpu")
    for shape in ((2, 2, 32, 48), (5, 2, 224, 224), (1, 2, 64, 16)):
        image = torch.rand(shape)
        np.testing.assert_allclose(fast.network(image)[0], exact.network(image)[0], atol=0.05)


def test_our_folder_keeps_its_normalisation(model_file, volume, tmp_path):
    state = torch.load(model_file, weights_only=True)
    described = {
        "name": "ours",
        "method": "cellpose",
        "config": {"nchan": 2, "nclasses": 3, "nbase": [2, 4, 8]},
        "input": {"percentiles": [1, 99.8], "nucleus_diameter_voxels": 20.0},
    }
    write_model(tmp_path / "ours", described, state)
    ours, params = load(tmp_path / "ours", nucleus_diameter=6.0)
    seen = []
    run = ours.network.run
    ours.network.run = lambda x: (seen.append(x.clone()), run(x))[1]
    ours.segment(volume, params, lambda fraction, text: None)
    low, high = np.percentile(volume.data, (1, 99.8))
    assert ours.info["name"] == "ours"
    assert all((batch[:, 1] == 0).all() for batch in seen)
    assert max(float(batch.max()) for batch in seen) <= (volume.data.max() - low) / (high - low) + 1e-5


def test_progress_counts_every_tile(model_file, volume):
    segmenter, params = load(model_file, nucleus_diameter=6.0)
    told = []
    segmenter.segment(volume, params, lambda fraction, text: told.append((fraction, text)))
    total = count_tiles(seen_shape(SHAPE, 20 / 12, 2.0), segmenter.tile, segmenter.padded)
    assert total == 53 + 80 + 80
    assert told[-1] == (0.9, "following the flows")
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    assert sum("following" in text for _, text in told) == 1
    assert told[0][1].endswith(f"of {total}")


def test_a_diameter_in_a_wrong_unit_is_refused_before_the_volume_is_enlarged(model_file, volume):
    segmenter, params = load(model_file, nucleus_diameter=0.006)
    with pytest.raises(NucsegError, match=r"would have to see [0-9,]{9,} voxels") as caught:
        segmenter.segment(volume, params, lambda fraction, text: None)
    assert "unit" in caught.value.hint


def test_diameter_is_measured_and_said(model_file, volume, capsys):
    segmenter, params = load(model_file)
    assert segmenter.segment(volume, params, lambda fraction, text: None).shape == SHAPE
    assert "balls.tif: nucleus diameter" in capsys.readouterr().out


def test_nothing_but_our_lines_on_standard_output(model_file, volume, capfd):
    segmenter, params = load(model_file, nucleus_diameter=6.0)
    segmenter.segment(volume, params, lambda fraction, text: None)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("cellpose").level == logging.ERROR


def test_section_sees_each_nucleus_once(model_file):
    segmenter, _ = load(model_file)
    labels, logits = segmenter.section(np.zeros((5, 70), np.float32))
    assert labels.shape == logits.shape == (5, 70)


def test_a_volume_of_two_slices(model_file):
    data = np.random.default_rng(0).integers(0, 1000, (2, 30, 40)).astype(np.uint16)
    segmenter, params = load(model_file, nucleus_diameter=8.0)
    assert segmenter.segment(Volume(data, None, Path("a.tif")), params, lambda f, t: None).shape == data.shape


def test_nuclei_on_a_constant_background_are_seen_from_0_to_1(model_file):
    data = np.full(SHAPE, 7, np.uint8)
    data[4:6, 20:28, 20:28] = 200
    segmenter, params = load(model_file, nucleus_diameter=20.0)
    seen = []
    run = segmenter.network.run
    segmenter.network.run = lambda x: (seen.append(x.clone()), run(x))[1]
    segmenter.segment(Volume(data, None, Path("a.tif")), params, lambda f, t: None)
    assert max(float(batch[:, 0].max()) for batch in seen) == pytest.approx(1, abs=0.01)
    assert min(float(batch[:, 0].min()) for batch in seen) == pytest.approx(0, abs=0.01)


def test_too_large_a_diameter(model_file, volume):
    segmenter, params = load(model_file, nucleus_diameter=1e6)
    with pytest.raises(NucsegError, match="less than a voxel"):
        segmenter.segment(volume, params, lambda f, t: None)


def test_wrong_paths_never_lead_to_a_download(tmp_path, no_network, model_file):
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        (tmp_path / "two" / name).write_bytes(b"x")
    (tmp_path / "text").write_text("cyto3")
    torch.save({"W2": torch.zeros(1)}, tmp_path / "four")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other")
    torch.save([1, 2], tmp_path / "list")
    half = dict(list(torch.load(model_file, weights_only=True).items())[:-9])
    half |= {"output.2.weight": torch.zeros(3, 4, 1, 1)}
    torch.save(half, tmp_path / "half")
    for name in ("cyto3", "nuclei", "none", "two", "text", "four", "other", "list", "half"):
        with pytest.raises(NucsegError) as raised:
            load(tmp_path / name)
        assert raised.value.exit_code == USAGE
        assert raised.value.hint


def test_folder_with_one_file_is_that_file(model_file):
    segmenter, _ = load(model_file.parent)
    assert segmenter.info["name"] == "random"
    assert segmenter.info["input"] == {"nucleus_diameter_voxels": 20.0}
    assert len(segmenter.info["sha256"]) == 64
