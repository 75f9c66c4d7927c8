import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from images.qcanet.converter import is_published, load_published
from images.qcanet.network import QCANet, config_of_state
from nucseg.errors import USAGE, NucsegError

GOLDEN = Path(__file__).parents[2] / "data" / "qcanet"
FILES = ("learned_nsn.npz", "learned_ndn.npz")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder that chainer wrote."""
    for name in FILES:
        shutil.copy(GOLDEN / name, tmp_path / name)
    return tmp_path


def rewrite(path: Path, change) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    change(arrays)
    np.savez(path, **arrays)


def refused(folder: Path, match: str) -> None:
    with pytest.raises(NucsegError, match=match) as caught:
        load_published(folder)
    assert caught.value.exit_code == USAGE
    assert caught.value.hint


def test_info_describes_the_model(folder):
    config, state, info = load_published(folder)
    assert config == {
        "nsn_base": 2,
        "nsn_kernel": 3,
        "nsn_levels": 2,
        "ndn_base": 1,
        "ndn_kernel": 5,
        "ndn_levels": 4,
        "bn_mode": "patch",
    }
    assert (info["name"], info["method"], info["config"]) == (folder.name, "qcanet", config)
    assert info["input"] == {"percentiles": [0.0, 100.0], "isotropic": True}
    # The larger of upstream's two softmax classes.
    assert (info["thresholds"], info["licence"]) == ({"foreground": 0.5, "seed": 0.5}, "unknown")
    hashes = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES]
    assert info["source"] == [{"file": name, "sha256": sha} for name, sha in zip(FILES, hashes, strict=True)]
    assert all(array.dtype in (np.float32, np.int64) for array in state.values())


def test_state_has_all_that_the_network_has(folder):
    config, state, _ = load_published(folder)
    expected = QCANet(**config).state_dict()
    assert {key: array.shape for key, array in state.items()} == {key: tuple(v.shape) for key, v in expected.items()}
    assert state["ndn.down.0.0.norm.num_batches_tracked"] == 7


def test_arrays_of_the_published_size_are_taken(tmp_path):
    for name, small, large in ((FILES[0], 2, 16), (FILES[1], 1, 12)):
        with np.load(GOLDEN / name) as file:
            head = "dc6/" if small == 2 else "dc12/"
            fixed = {"c0/W": 1, f"{head}W": 0, f"{head}b": 0}
            grown = {key: _grown(file[key], large // small, fixed.get(key)) for key in file}
        np.savez_compressed(tmp_path / name, **grown)
    config, state, _ = load_published(tmp_path)
    with torch.device("meta"):
        network = QCANet()
    assert config == {**config_of_state(network.state_dict()), "bn_mode": "patch"}
    network.load_state_dict({key: torch.from_numpy(a) for key, a in state.items()}, strict=True, assign=True)
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_147_618 + 44_450_498


def _grown(array: np.ndarray, times: int, fixed: int | None) -> np.ndarray:
    """Zeros of the array's shape in a network of so many times the channels; axis `fixed` is none of channels."""
    return np.zeros([n * times if axis < 2 and axis != fixed else n for axis, n in enumerate(array.shape)], array.dtype)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (FILES, True),
        (("my_nsn_v2.npz", "my_ndn_v2.npz"), True),
        (("learned_nsn.npz",), False),
        (("learned_nsn.npz", "._learned_ndn.npz"), False),
        (("model.json", "weights.safetensors"), False),
    ],
)
def test_published_folders_are_known_by_their_files(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).touch()
    assert is_published(tmp_path) is expected


def test_a_file_is_no_published_folder(folder):
    assert not is_published(folder / FILES[0])


def test_upstreams_name_goes_before_others(folder):
    shutil.copy(folder / FILES[0], folder / "another_nsn.npz")
    assert load_published(folder)[2]["source"][0]["file"] == FILES[0]


def test_several_files_of_one_network_are_refused(folder):
    (folder / FILES[0]).rename(folder / "a_nsn.npz")
    shutil.copy(folder / "a_nsn.npz", folder / "b_nsn.npz")
    refused(folder, r"several \*nsn\*.npz: a_nsn.npz, b_nsn.npz")


def test_a_missing_file_is_named(folder):
    (folder / FILES[1]).unlink()
    refused(folder, "has no learned_ndn.npz")


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_a_truncated_file_is_named(folder, keep):
    path = folder / FILES[1]
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, "learned_ndn.npz can't be read")


def test_pickles_are_not_opened(folder):
    rewrite(folder / FILES[0], lambda arrays: arrays.update({"c0/W": np.array(None)}))
    refused(folder, "learned_nsn.npz can't be read")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda arrays: arrays.pop("bnc1/avg_var"), "it lacks bnc1/avg_var"),
        (lambda arrays: arrays.update({"c6/b": np.zeros(4)}), "it has unknown c6/b"),
        (lambda arrays: arrays.update({"c6/W": np.zeros((4, 4, 3, 3, 3))}), "it has unknown c6/W"),
        (lambda arrays: arrays.update({"dc1/W": arrays["dc1/W"][:, 1:]}), r"\(nsn.merge.0.0.conv.weight\) of shape"),
        (lambda arrays: arrays.update({"c0/W": np.zeros(3)}), r"has c0/W of shape \(3,\)"),
        (lambda arrays: arrays.update({"c0/W": np.zeros((2, 1, 4, 4, 4))}), "not one of an odd 3D kernel"),
        (lambda arrays: [arrays.pop(key) for key in list(arrays)], "has 0 of the convolutions"),
    ],
)
def test_another_network_is_refused(folder, change, match):
    rewrite(folder / FILES[0], change)
    refused(folder, match)


def test_swapped_files_are_of_other_sizes_but_valid(folder):
    (folder / FILES[0]).rename(folder / "kept")
    (folder / FILES[1]).rename(folder / FILES[0])
    (folder / "kept").rename(folder / FILES[1])
    assert load_published(folder)[0]["nsn_kernel"] == 5
