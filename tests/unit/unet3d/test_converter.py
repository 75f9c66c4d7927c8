import collections
import io
import os
import shutil

import numpy as np
import pytest
import torch

from images.unet3d.converter import VOXEL_SIZES_UM, is_published, load_published
from images.unet3d.network import UNet3D
from nucseg.errors import USAGE, NucsegError


@pytest.fixture
def checkpoint(tmp_path, unpack_checkpoint):
    """A checkpoint that upstream wrote, alone in its folder."""
    return unpack_checkpoint("gcr", tmp_path)


def refused(path):
    with pytest.raises(NucsegError) as caught:
        load_published(path)
    assert caught.value.exit_code == USAGE
    assert caught.value.hint
    return caught.value.cause


def test_info_describes_the_model(checkpoint):
    config, state, info = load_published(checkpoint)
    assert is_published(checkpoint)
    assert info["name"] == "last_checkpoint"
    assert info["method"] == "unet3d"
    assert info["config"] == config
    assert config["f_maps"] == 8
    assert info["thresholds"].keys() == {"foreground", "seed"}
    assert info["input"] == {"standardised": True}
    assert info["licence"] == "unknown"
    assert len(info["source"]["sha256"]) == 64
    assert all(isinstance(array, np.ndarray) for array in state.values())


def test_folder_with_one_checkpoint(checkpoint):
    (checkpoint.parent / "config_train.yml").write_text("model: {}")
    assert is_published(checkpoint.parent)
    assert load_published(checkpoint.parent)[2]["name"] == checkpoint.parent.name


def test_folder_with_two_checkpoints(checkpoint):
    shutil.copyfile(checkpoint, checkpoint.with_name("best_checkpoint.pytorch"))
    cause = refused(checkpoint.parent)
    assert checkpoint.name in cause
    assert "best_checkpoint.pytorch" in cause


def test_folder_with_none(tmp_path):
    (tmp_path / "weights.h5").touch()
    assert not is_published(tmp_path)
    assert not is_published(tmp_path / "missing")
    assert "*.pytorch" in refused(tmp_path)


@pytest.mark.parametrize("name", VOXEL_SIZES_UM)
def test_voxel_size_of_published_files(checkpoint, name):
    info = load_published(checkpoint.rename(checkpoint.with_name(name)))[2]
    assert info["input"]["voxel_size_um"] == list(VOXEL_SIZES_UM[name])


@pytest.mark.parametrize("suffix", [".pytorch", ".pt", ".pth"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_ways_to_save_a_state_dict(tmp_path, suffix, zipped, prefix):
    state = UNet3D(f_maps=8, num_levels=2).state_dict()
    saved = collections.OrderedDict((f"{prefix}{name}", value) for name, value in state.items())
    path = tmp_path / f"model{suffix}"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    found = load_published(path)[1]
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[name], state[name].numpy()) for name in state)


@pytest.mark.parametrize("score", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5), 0.5])
@pytest.mark.parametrize("numpy1", [False, True])
def test_score_beside_the_weights(tmp_path, score, numpy1):
    buffer = io.BytesIO()
    state = UNet3D(f_maps=8, num_levels=2).state_dict()
    torch.save({"model_state_dict": state, "best_eval_score": score}, buffer, _use_new_zipfile_serialization=False)
    content = buffer.getvalue()
    if numpy1:
        content = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    (tmp_path / "model.pytorch").write_bytes(content)
    assert load_published(tmp_path)[0]["num_levels"] == 2


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model_state_dict": UNet3D(f_maps=8).state_dict(), "extra": Harmful()}, "model.pytorch")
    assert "more than weights" in refused(tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 no archive", None])
def test_damaged_file(checkpoint, content):
    checkpoint.write_bytes(checkpoint.read_bytes()[:9000] if content is None else content)
    assert "can't be read" in refused(checkpoint)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"model_state_dict": 4}, torch.zeros(3)])
def test_file_without_a_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "model.pt")
    assert "no state dict" in refused(tmp_path)


def test_residual_network_is_named(tmp_path):
    names = ("encoders.0.basic_module.conv1.weight", "encoders.0.basic_module.conv2.conv.weight", "final_conv.weight")
    torch.save({name: torch.zeros(8, 8, 3, 3, 3) for name in names}, tmp_path / "model.pytorch")
    assert "ResidualUNet3D" in refused(tmp_path)


@pytest.mark.parametrize("channels", [(1, 3), (2, 2)])
def test_network_with_other_channels_is_refused(tmp_path, channels):
    torch.save(UNet3D(*channels, f_maps=8).state_dict(), tmp_path / "model.pytorch")
    assert f"{channels[0]} channel(s) to {channels[1]}" in refused(tmp_path)
