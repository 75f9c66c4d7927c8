import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from stardist_golden import unpack_model

from images.stardist3d.converter import is_published_folder, load_folder, read_thresholds
from nucseg.errors import USAGE, NucsegError


@pytest.fixture(params=["resnet_anisotropic", "unet_batchnorm_pool122"])
def folder(request, tmp_path) -> Path:
    """A folder that upstream wrote."""
    return unpack_model(request.param, tmp_path)


def test_info_describes_the_model(folder):
    config, state, info = load_folder(folder)
    assert is_published_folder(folder)
    assert info["name"] == folder.name
    assert info["config"] == config.to_dict()
    assert info["thresholds"] == json.loads((folder / "thresholds.json").read_text())
    assert len(info["source"]["sha256"]) == 64
    assert all(array.dtype in (np.float32, np.int64) for array in state.values())


@pytest.mark.parametrize("suffix", [":0", ""])
@pytest.mark.parametrize("whole_model", [False, True])
@pytest.mark.parametrize("names", [str, str.encode])
def test_layout_and_counter_of_the_file_do_not_matter(folder, suffix, whole_model, names):
    before = load_folder(folder)[1]
    # 95 moves the counter from two digits to three, where text order and creation order part
    _rewrite(folder / "weights_best.h5", 95, suffix, whole_model, names)
    after = load_folder(folder)[1]
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)


def _rewrite(path: Path, offset: int, suffix: str, whole_model: bool, names) -> None:
    def renamed(layer: str) -> str:
        kind, _, number = layer.rpartition("_")
        if layer in ("conv3d", "batch_normalization"):
            return f"{layer}_{offset}"
        return f"{kind}_{int(number) + offset}" if kind in ("conv3d", "batch_normalization") else layer

    new = path.with_suffix(".new")
    with h5py.File(path) as old, h5py.File(new, "w") as file:
        root = file.create_group("model_weights") if whole_model else file
        root.attrs["layer_names"] = [names(renamed(layer)) for layer in old]
        for layer, group in old.items():
            target = root.create_group(renamed(layer))
            kept = []
            for name in group.attrs["weight_names"]:
                last = name.split("/")[-1].split(":")[0]
                kept.append(f"{renamed(layer)}/{last}{suffix}")
                target[kept[-1]] = group[name][()]
            target.attrs["weight_names"] = [names(name) for name in kept]
    new.replace(path)


def test_best_weights_are_preferred(folder):
    shutil.copyfile(folder / "weights_best.h5", folder / "weights_last.h5")
    assert load_folder(folder)[2]["source"]["file"] == "weights_best.h5"
    (folder / "weights_best.h5").unlink()
    assert load_folder(folder)[2]["source"]["file"] == "weights_last.h5"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"prob": 0.7, "nms": 0.3}', {"prob": 0.7, "nms": 0.3}),
        ('{"prob": null, "nms": 2}', {"prob": 0.5, "nms": 0.4}),
        (None, {"prob": 0.5, "nms": 0.4}),
    ],
)
def test_thresholds_fall_back_to_upstreams(tmp_path, content, expected):
    if content:
        (tmp_path / "thresholds.json").write_text(content)
    assert read_thresholds(tmp_path / "thresholds.json") == expected


@pytest.mark.parametrize("missing", ["config.json", "weights_best.h5"])
def test_missing_file_is_named(folder, missing):
    (folder / missing).unlink()
    # A part of one is, too: so what is missing is told.
    assert is_published_folder(folder)
    with pytest.raises(NucsegError) as caught:
        load_folder(folder)
    assert caught.value.exit_code == USAGE
    assert missing.split("_")[0].split(".")[0] in caught.value.cause


@pytest.mark.parametrize(
    "change",
    [{"unet_n_filter_base": 8, "resnet_n_filter_base": 8}, {"unet_n_depth": 3, "resnet_n_blocks": 2}, {"n_classes": 2}],
)
def test_weights_of_another_configuration_are_refused(folder, change):
    described = json.loads((folder / "config.json").read_text())
    described.update({key: value for key, value in change.items() if key in described})
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(NucsegError, match="don't fit"):
        load_folder(folder)


def _empty_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("layers/conv3d/vars")


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"no h5"), lambda p: p.write_bytes(b""), _empty_h5])
def test_damaged_weights_are_refused(folder, damage):
    damage(folder / "weights_best.h5")
    with pytest.raises(NucsegError, match=r"weights_best\.h5"):
        load_folder(folder)
