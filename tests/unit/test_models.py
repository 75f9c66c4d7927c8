"""Model folders: what is written is read back, and what is damaged, foreign or missing is refused clearly."""

import json

import numpy as np
import pytest

from nucseg.errors import USAGE, NucsegError
from nucseg.models import fingerprint, load_weights, read_model, resolve_model, write_model

INFO = {"name": "general", "method": "m", "config": {"depth": 2}}


@pytest.fixture
def method_dir(tmp_path):
    for name in ("general", "small"):
        write_model(tmp_path / "m" / "weights" / name, {**INFO, "name": name}, {"w": np.ones(3, np.float32)})
    return tmp_path / "m"


def test_a_name_that_is_no_unicode_costs_no_model(tmp_path):
    pairs = ["µ", "v\udce9"]
    write_model(tmp_path / "model", {**INFO, "training": {"pairs": pairs}}, {"w": np.ones(3, np.float32)})
    assert read_model(tmp_path / "model", "m").info["training"]["pairs"] == pairs


def test_round_trip_keeps_shapes_types_and_order(tmp_path):
    torch = pytest.importorskip("torch")
    state = {
        "conv.weight": torch.arange(24.0).reshape(2, 3, 4).transpose(0, 2),
        "bn.num_batches_tracked": torch.tensor(7),
        "none": torch.zeros(0, 3),
    }
    written = write_model(tmp_path / "model", INFO, state)
    read = read_model(tmp_path / "model", "m")
    assert read == written
    weights = load_weights(read)
    assert weights.keys() == state.keys()
    for key, tensor in state.items():
        assert weights[key].shape == tuple(tensor.shape)
        back = torch.from_numpy(weights[key])
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor)
    assert read.info["config"] == {"depth": 2}
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.json", "weights.safetensors"]


def test_changed_weights_are_refused(method_dir):
    folder = method_dir / "weights" / "general"
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(NucsegError, match="damaged") as caught:
        load_weights(read_model(folder, "m"))
    assert caught.value.exit_code == USAGE


def test_a_write_that_stops_half_way_is_refused_on_load(method_dir):
    """New weights beside the old description, as after a crash between the two."""
    folder = method_dir / "weights" / "general"
    old = (folder / "model.json").read_text()
    write_model(folder, INFO, {"w": np.zeros(3, np.float32)})
    (folder / "model.json").write_text(old)
    with pytest.raises(NucsegError, match="damaged"):
        load_weights(read_model(folder, "m"))


def test_resolve_by_name_and_by_folder(method_dir, tmp_path):
    assert resolve_model(method_dir, "small") == method_dir / "weights" / "small"
    mounted = tmp_path / "my model"
    mounted.mkdir()
    (mounted / "config.json").write_text("{}")
    assert resolve_model(method_dir, str(mounted)) == mounted


@pytest.mark.parametrize(
    ("value", "cause"),
    [("generel", "neither"), ("empty", "is empty"), ("/nowhere/x", "neither")],
)
def test_wrong_models_list_the_shipped_ones(method_dir, tmp_path, monkeypatch, value, cause):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(NucsegError) as caught:
        resolve_model(method_dir, value)
    assert caught.value.exit_code == USAGE
    assert cause in caught.value.cause
    assert value in caught.value.cause
    assert "general, small" in caught.value.hint


def write_json(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(content)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "has no model.json"),
        ("{", "can't be read"),
        ("[]", "lacks"),
        (json.dumps({**INFO}), "lacks sha256"),
        (json.dumps({**INFO, "method": "other", "sha256": ""}), "is for other, not for m"),
    ],
)
def test_unfit_descriptions(tmp_path, content, cause):
    if content is not None:
        write_json(tmp_path / "model", content)
    with pytest.raises(NucsegError, match=cause) as caught:
        read_model(tmp_path / "model", "m")
    assert caught.value.exit_code == USAGE


def test_missing_weights(method_dir):
    (method_dir / "weights" / "general" / "weights.safetensors").unlink()
    with pytest.raises(NucsegError, match=r"weights\.safetensors can't be read"):
        load_weights(read_model(method_dir / "weights" / "general", "m"))


def test_weights_of_another_format(tmp_path):
    import hashlib

    write_json(tmp_path / "model", json.dumps({**INFO, "sha256": hashlib.sha256(b"no tensors").hexdigest()}))
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"no tensors")
    with pytest.raises(NucsegError, match="no safetensors file"):
        load_weights(read_model(tmp_path / "model", "m"))


def test_fingerprints(method_dir, tmp_path):
    general = method_dir / "weights" / "general"
    info = read_model(general, "m").info
    assert fingerprint(general, info) == {"name": "general", "sha256": info["sha256"]}
    decides = {"thresholds": {"prob": 0.5}, "input": {"percentiles": [1, 99.8]}}
    assert fingerprint(general, {**info, **decides}) == {"name": "general", "sha256": info["sha256"], **decides}
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    (upstream / "config.json").write_text("{}")
    (upstream / "weights.h5").write_bytes(b"1")
    before = fingerprint(upstream, {"config": {}})
    assert before["name"] == "upstream"
    assert fingerprint(upstream, {"config": {}}) == before
    (upstream / "weights.h5").write_bytes(b"2")
    assert fingerprint(upstream, {"config": {}})["sha256"] != before["sha256"]


def test_a_file_is_handed_on_and_described_by_its_contents(tmp_path):
    file = tmp_path / "published"
    file.write_bytes(b"weights")
    assert resolve_model(tmp_path, str(file)) == file
    assert fingerprint(file, {}) != fingerprint(file, {"name": "other"})
    before = fingerprint(file, {})
    file.write_bytes(b"other weights")
    assert fingerprint(file, {})["sha256"] != before["sha256"]
    with pytest.raises(NucsegError, match="is a file of no format"):
        read_model(file, "unet3d")
